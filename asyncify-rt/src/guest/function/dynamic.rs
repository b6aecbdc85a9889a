//! A function that is called with dynamic values.

use std::fmt;
use std::sync::Arc;

use wasmtime::{FuncType, StoreContextMut, Val, ValType};

use super::untyped::Function;
use crate::cx::GuestCx;
use crate::error::{Error, Result, signature_of};
use crate::guest::call::{Call, Target};
use crate::imports::zeros;
use crate::parts::memory::Slice;
use crate::store::{Inner, State};

/// A function of a guest that is called with dynamic values: an export, a table's entry, any
/// `wasmtime::Func` of its store.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// use asyncify::wasmtime::Val;
///
/// let double = guest.all_exports().function("double")?;
/// assert_eq!(format!("{double:?}"), "AsyncFunction(double: (i32) -> (i32))");
/// assert_eq!(double.call([Val::I32(4)]).await?[0].unwrap_i32(), 8);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct AsyncFunction(Arc<dyn DynCallable>);

trait DynCallable: Send + Sync {
    fn call(self: Arc<Self>, args: Vec<Val>) -> Call<Vec<Val>>;
    fn name(&self) -> &str;
    fn ty(&self) -> &FuncType;
}

impl AsyncFunction {
    /// Its name, as the guest exports it.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// assert_eq!(guest.all_exports().function("double")?.name(), "double");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Its type.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let double = guest.all_exports().function("double")?;
    /// assert_eq!((double.name(), double.ty().params().len()), ("double", 1));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn ty(&self) -> &FuncType {
        self.0.ty()
    }

    /// A call with these arguments. Arguments of another number or type than
    /// [`ty`](Self::ty) says end it with [`Error::SignatureMismatch`].
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// use asyncify::Error;
    ///
    /// let double = guest.all_exports().function("double")?;
    /// assert!(matches!(double.call([]).await, Err(Error::SignatureMismatch { .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn call(&self, args: impl Into<Vec<Val>>) -> Call<Vec<Val>> {
        Arc::clone(&self.0).call(args.into())
    }
}

impl fmt::Debug for AsyncFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncFunction({}: {})", self.name(), signature_of(self.ty()))
    }
}

impl<T: Send + 'static> Function<T> {
    pub(crate) fn dynamic(self) -> AsyncFunction {
        AsyncFunction(Arc::new(self))
    }
}

impl<T: Send + 'static> DynCallable for Function<T> {
    fn call(self: Arc<Self>, args: Vec<Val>) -> Call<Vec<Val>> {
        Call::new(self, args)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn ty(&self) -> &FuncType {
        &self.ty
    }
}

impl<T: Send + 'static> Function<T> {
    fn invoke_with(
        &self,
        store: StoreContextMut<'_, State<T>>,
        args: &[Val],
    ) -> wasmtime::Result<Vec<Val>> {
        // They are only written to, so that they need not be of the results' types.
        let mut results = vec![Val::I32(0); self.ty.results().len()];
        self.func.call(store, args, &mut results)?;
        Ok(results)
    }
}

impl<T: Send + 'static> Target<T> for Function<T> {
    type Args = Vec<Val>;
    type Params = Vec<Val>;
    /// The arguments, where one is of a type without a default value.
    type Kept = Vec<Val>;
    type Raw = Vec<Val>;
    type Output = Vec<Val>;

    fn name(&self) -> &str {
        &self.name
    }

    fn guest(&self) -> &Inner<T> {
        &self.guest
    }

    fn place(&self, cx: &mut GuestCx<'_, T>, args: Vec<Val>) -> Result<(Vec<Val>, Vec<Val>)> {
        let wanted = self.ty.params();
        let fits = |(arg, ty): (&Val, ValType)| arg.matches_ty(&cx.vm.store, &ty).unwrap_or(false);
        if args.len() == wanted.len() && args.iter().zip(wanted).all(fits) {
            let has_zeros = self.ty.params().all(|ty| Val::default_for_ty(&ty).is_some());
            let kept = if has_zeros { Vec::new() } else { args.clone() };
            return Ok((args, kept));
        }
        Err(Error::SignatureMismatch {
            function: self.name.to_string(),
            expected: format!("one for the arguments {args:?}"),
            actual: signature_of(&self.ty),
        })
    }

    fn invoke(
        &self,
        store: StoreContextMut<'_, State<T>>,
        params: Vec<Val>,
    ) -> wasmtime::Result<Vec<Val>> {
        self.invoke_with(store, &params)
    }

    fn invoke_again(
        &self,
        store: StoreContextMut<'_, State<T>>,
        kept: &Vec<Val>,
    ) -> wasmtime::Result<Vec<Val>> {
        if !kept.is_empty() {
            return self.invoke_with(store, kept);
        }
        let zeros = zeros(self.ty.params())?;
        self.invoke_with(store, &zeros)
    }

    fn finish(
        &self,
        _: &mut GuestCx<'_, T>,
        _: Vec<Val>,
        raw: Vec<Val>,
        _: &[Slice],
    ) -> Result<Vec<Val>> {
        Ok(raw)
    }
}
