//! A function of the guest that the host calls: typed, or with dynamic values.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use wasmtime::{Func, FuncType, StoreContextMut, TypedFunc, Val, ValType};

use crate::call::{self, Call, PlainCall, Target};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::exports::find;
use crate::guest::Guest;
use crate::imports::{signature, zeros};
use crate::marshal::{Args, Concat, Direct, Output, ParamInfo, Site, Slice, ValueType, Values};
use crate::state::State;
use crate::turns::Turn;

/// A function of the guest, not yet typed.
pub(crate) struct Function<T: Send + 'static> {
    guest: Guest<T>,
    name: Arc<str>,
    func: Func,
    ty: FuncType,
    params: &'static [ParamInfo],
}

impl<T: Send + 'static> Function<T> {
    pub(crate) fn new(guest: &Guest<T>, name: &str, params: &'static [ParamInfo]) -> Result<Self> {
        let (func, ty) = find(guest, "function", name, |export| {
            Some((export.item.clone().into_func()?, export.ty.func()?.clone()))
        })?;
        Ok(Self { params, ..Self::of(guest.clone(), name, func, ty) })
    }

    /// Any function of the guest's store.
    pub(crate) fn of(guest: Guest<T>, name: &str, func: Func, ty: FuncType) -> Self {
        Self { guest, name: name.into(), func, ty, params: &[] }
    }

    pub(crate) fn dynamic(self) -> AsyncFunction {
        AsyncFunction(Arc::new(self))
    }

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

pub(crate) fn signature_of(ty: &FuncType) -> String {
    signature(&ty.params().collect::<Vec<_>>(), &ty.results().collect::<Vec<_>>())
}

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

/// A function with its types, whatever its guest holds.
pub(crate) trait Callable<A: Args, M, R>: Send + Sync {
    fn call(self: Arc<Self>, args: A::Owned) -> Call<R>;
    /// Runs it when the guest is free, and takes the arguments then. It must not suspend.
    fn poll_plain(
        &self,
        args: &mut Option<A::Owned>,
        turn: &mut Option<Box<Turn>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R>>;
    fn name(&self) -> &str;
}

type Params<A, M, R> = <<A as Args>::Values as Concat<<M as Output<R>>::Params>>::Out;

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
        call::poll_plain(self, args, turn, cx)
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

    fn guest(&self) -> &Guest<T> {
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

    fn guest(&self) -> &Guest<T> {
        &self.guest
    }

    fn place(&self, cx: &mut GuestCx<'_, T>, args: Vec<Val>) -> Result<(Vec<Val>, Vec<Val>)> {
        let wanted = self.ty.params();
        let fits = |(arg, ty): (&Val, ValType)| arg.matches_ty(&cx.store, &ty).unwrap_or(false);
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
