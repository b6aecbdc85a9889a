//! What the attributes write down of a parameter.
//!
//! Each way to take one is a function of its own with the bound on the user's type, so that a type
//! that cannot cross is told by that type's own trait, and by none of the kinds'.

use super::{
    Arg, Borrowed, FromGuest, IntoGuest, Mut, Param, ParamAbi, Ref, Slice, Val, ValueType, Values,
    Writable,
};

/// One parameter of an import or export.
///
/// ```
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     fn log(&self, line: &str) { println!("{line}"); }
/// }
///
/// let line = &Host::IMPORTS[0].params[0];
/// assert_eq!((line.name, line.ty, line.values.len()), ("line", "&str", 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type, as written.
    pub ty: &'static str,
    /// Its values in the wasm signature.
    pub values: &'static [ValueType],
}

impl ParamInfo {
    const fn new(name: &'static str, ty: &'static str, values: &'static [ValueType]) -> Self {
        Self { name, ty, values }
    }

    /// An import's `V`.
    #[doc(hidden)]
    #[must_use]
    pub const fn val<V>(name: &'static str, ty: &'static str) -> Self
    where
        V: FromGuest<Abi: ParamAbi> + Send + 'static,
    {
        Self::new(name, ty, <Val<V> as Param>::Values::TYPES)
    }

    /// An import's `&B`.
    #[doc(hidden)]
    #[must_use]
    pub const fn by_ref<B: Borrowed + ?Sized>(name: &'static str, ty: &'static str) -> Self {
        Self::new(name, ty, <Ref<B> as Param>::Values::TYPES)
    }

    /// An import's `&mut B`.
    #[doc(hidden)]
    #[must_use]
    pub const fn by_mut<B: Writable + ?Sized>(name: &'static str, ty: &'static str) -> Self {
        Self::new(name, ty, <Mut<B> as Param>::Values::TYPES)
    }

    /// An export's `V`.
    #[doc(hidden)]
    #[must_use]
    pub const fn arg_val<V>(name: &'static str, ty: &'static str) -> Self
    where
        V: IntoGuest<Abi: ParamAbi> + Send + 'static,
    {
        Self::new(name, ty, <Val<V> as Arg>::Values::TYPES)
    }

    /// An export's `&B`.
    #[doc(hidden)]
    #[must_use]
    pub const fn arg_by_ref<B>(name: &'static str, ty: &'static str) -> Self
    where
        B: Borrowed<Owned: IntoGuest<Abi = Slice>> + ?Sized,
    {
        Self::new(name, ty, <Ref<B> as Arg>::Values::TYPES)
    }
}

/// The most values that a function can be registered with.
const MOST_VALUES: usize = 16;

/// A function's values are counted where it is declared, and the error is told there.
#[track_caller]
pub(crate) const fn assert_not_too_many(params: &[ParamInfo], out_pointer: &[ValueType]) {
    let (mut count, mut index) = (out_pointer.len(), 0);
    while index < params.len() {
        count += params[index].values.len();
        index += 1;
    }
    assert!(
        count <= MOST_VALUES,
        "a function has 16 wasm values at most, and text, bytes and `OutBuf` are two each; pass a pointer to a struct instead"
    );
}
