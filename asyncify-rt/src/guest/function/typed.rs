//! A function that is called with Rust's own types.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use wasmtime::{StoreContextMut, TypedFunc, ValType};

use super::untyped::Function;
use crate::cx::GuestCx;
use crate::error::{Error, Result, signature, signature_of};
use crate::guest::call::{Call, Callable, PlainCall, Target, poll_plain};
use crate::marshal::{Args, Concat, Direct, Output, Site, ValueType, Values};
use crate::parts::memory::Slice;
use crate::parts::turns::Turn;
use crate::store::{Inner, State};

/// An export with its types, whatever its guest holds.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// let double = guest.all_exports().typed::<(u32,), (u32,)>("double")?;
/// let again = double.clone();
/// assert_eq!(double.call((4,)).await?, again.call((4,)).await?);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct ExportFn<A: Args, M, R>(Arc<dyn Callable<A, M, R>>);

/// A function that is called with plain wasm values: tuples of them.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// use asyncify::TypedAsyncFunction;
///
/// let double: TypedAsyncFunction<(u32,), (u32,)> = guest.all_exports().typed("double")?;
/// assert_eq!(double.call((4,)).await?, (8,));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub type TypedAsyncFunction<P, R> = ExportFn<Plain<P>, Direct, R>;

impl<A: Args, M, R> ExportFn<A, M, R> {
    /// A call with these arguments.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let double = guest.all_exports().typed::<(u32,), (u32,)>("double")?;
    /// // Nothing runs yet.
    /// let call = double.call((4,));
    /// assert_eq!(call.await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn call(&self, args: A::Owned) -> Call<R> {
        Arc::clone(&self.0).call(args)
    }

    /// A call that must not suspend: it borrows this function and allocates nothing. An exports
    /// trait's `fn` is called so.
    ///
    /// If it reaches an import that suspends, it ends with [`Error::MustNotSuspend`].
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let double = guest.all_exports().typed::<(u32,), (u32,)>("double")?;
    /// assert_eq!(double.call_plain((4,)).await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn call_plain(&self, args: A::Owned) -> PlainCall<'_, A, M, R> {
        PlainCall::new(&*self.0, args)
    }
}

impl<A: Args, M, R> Clone for ExportFn<A, M, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Args, M, R> fmt::Debug for ExportFn<A, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportFn({})", self.0.name())
    }
}

type Params<A, M, R> = <<A as Args>::Values as Concat<<M as Output<R>>::Params>>::Out;

impl<T: Send + 'static> Function<T> {
    pub(crate) fn typed<A, M, R>(self) -> Result<ExportFn<A, M, R>>
    where
        A: Args<Values: Concat<M::Params>>,
        M: Output<R>,
        R: Send + 'static,
    {
        let params = <<A::Values as Concat<M::Params>>::Out as Values>::TYPES;
        let results = M::Results::TYPES;
        if !is(self.ty.params(), params) || !is(self.ty.results(), results) {
            return Err(Error::SignatureMismatch {
                function: self.name.to_string(),
                expected: signature(params, results),
                actual: signature_of(&self.ty),
            });
        }
        Ok(ExportFn(Arc::new(Typed::<T, A, M, R> { function: self, typed: OnceLock::new() })))
    }
}

fn is(types: impl ExactSizeIterator<Item = ValType>, values: &[ValueType]) -> bool {
    types.len() == values.len()
        && types.zip(values).all(|(ty, value)| value_type(&ty) == Some(*value))
}

fn value_type(ty: &ValType) -> Option<ValueType> {
    match ty {
        ValType::I32 => Some(ValueType::I32),
        ValType::I64 => Some(ValueType::I64),
        ValType::F32 => Some(ValueType::F32),
        ValType::F64 => Some(ValueType::F64),
        ValType::V128 => Some(ValueType::V128),
        ValType::Ref(_) => None,
    }
}

struct Typed<T, A, M, R>
where
    T: Send + 'static,
    A: Args<Values: Concat<M::Params>>,
    M: Output<R>,
{
    function: Function<T>,
    /// Made when it is first called, because that needs the store.
    typed: OnceLock<TypedFunc<Params<A, M, R>, M::Results>>,
}

impl<T, A, M, R> Typed<T, A, M, R>
where
    T: Send + 'static,
    A: Args<Values: Concat<M::Params>>,
    M: Output<R>,
    R: Send + 'static,
{
    #[inline]
    fn invoke_with(
        &self,
        store: StoreContextMut<'_, State<T>>,
        params: Params<A, M, R>,
    ) -> wasmtime::Result<M::Results> {
        match self.typed.get() {
            Some(typed) => typed.call(store, params),
            None => {
                let typed = self.function.func.typed(&store)?;
                self.typed.get_or_init(|| typed).call(store, params)
            }
        }
    }
}

impl<T, A, M, R> Callable<A, M, R> for Typed<T, A, M, R>
where
    T: Send + 'static,
    A: Args<Values: Concat<M::Params>>,
    M: Output<R>,
    R: Send + 'static,
{
    #[inline]
    fn call(self: Arc<Self>, args: A::Owned) -> Call<R> {
        Call::new(self, args)
    }

    #[inline]
    fn poll_plain(
        &self,
        args: &mut Option<A::Owned>,
        turn: &mut Option<Box<Turn>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R>> {
        poll_plain(self, args, turn, cx)
    }

    fn name(&self) -> &str {
        &self.function.name
    }
}

impl<T, A, M, R> Target<T> for Typed<T, A, M, R>
where
    T: Send + 'static,
    A: Args<Values: Concat<M::Params>>,
    M: Output<R>,
    R: Send + 'static,
{
    type Args = A::Owned;
    type Params = Params<A, M, R>;
    type Kept = M::Params;
    type Raw = M::Results;
    type Output = R;

    fn name(&self) -> &str {
        &self.function.name
    }

    fn guest(&self) -> &Inner<T> {
        &self.function.guest
    }

    #[inline]
    fn place(
        &self,
        cx: &mut GuestCx<'_, T>,
        args: A::Owned,
    ) -> Result<(Params<A, M, R>, M::Params)> {
        let site = Site::export(&self.function.name, self.function.params);
        let values = A::place(cx, args, site)?;
        let out = M::prepare(cx).map_err(|cause| site.result().error(cause))?;
        Ok((values.join(out), out))
    }

    #[inline]
    fn invoke(
        &self,
        store: StoreContextMut<'_, State<T>>,
        params: Params<A, M, R>,
    ) -> wasmtime::Result<M::Results> {
        self.invoke_with(store, params)
    }

    fn invoke_again(
        &self,
        store: StoreContextMut<'_, State<T>>,
        _: &M::Params,
    ) -> wasmtime::Result<M::Results> {
        self.invoke_with(store, Values::zero())
    }

    #[inline]
    fn finish(
        &self,
        cx: &mut GuestCx<'_, T>,
        out: M::Params,
        raw: M::Results,
        placed: &[Slice],
    ) -> Result<R> {
        M::receive(cx, out, raw, placed)
            .map_err(|cause| Site::export(&self.function.name, &[]).error(cause))
    }
}

/// Arguments that are wasm values already.
pub struct Plain<P>(PhantomData<P>);

impl<P: Values> Args for Plain<P> {
    type Values = P;
    type Owned = P;

    fn place<T: Send + 'static>(_: &mut GuestCx<'_, T>, owned: P, _: Site<'_>) -> Result<P> {
        Ok(owned)
    }
}
