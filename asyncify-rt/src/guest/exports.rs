//! What a guest offers its host: functions to call, by name, typed or with dynamic values.

use std::fmt;

use wasmtime::{Extern, ExternType, Global, Memory, Table};

use super::Guest;
use super::function::{AsyncFunction, ExportFn, Function, TypedAsyncFunction};
use crate::error::{Error, Name, Result};
use crate::marshal::{
    Args, Concat, FromGuest, Output, ParamInfo, ResultAbi, ValueType, Values, assert_not_too_many,
};

/// A guest's exports as `#[asyncify::exports]` types them.
///
/// ```
/// use asyncify::Exports;
///
/// #[asyncify::exports]
/// trait App {
///     async fn run(&self, pages: u32) -> u32;
/// }
///
/// assert_eq!(AppExports::NAME, "App");
/// assert_eq!(AppExports::EXPORTS[0].name, "run");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` describes no exports",
    note = "`#[asyncify::exports]` on a trait `App` makes the type `AppExports`"
)]
pub trait Exports: Sized {
    /// The trait's name.
    const NAME: &'static str;
    /// Every export of the trait.
    const EXPORTS: &'static [ExportInfo];

    /// Finds every export; `None` if one is missing or differs.
    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self>;
}

/// An export, as a trait declares it.
///
/// ```
/// # use asyncify::Exports;
/// #[asyncify::exports]
/// trait App {
///     /// Greets by name.
///     async fn greet(&self, name: &str) -> String;
/// }
///
/// let greet = &AppExports::EXPORTS[0];
/// assert!(greet.suspending);
/// assert_eq!((greet.params[0].name, greet.params[0].values.len()), ("name", 2));
/// assert_eq!((greet.result_ty, greet.doc), ("String", "Greets by name."));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExportInfo {
    /// Its name.
    pub name: &'static str,
    /// Whether it may suspend: whether it is an `async fn`.
    pub suspending: bool,
    /// Its parameters, without the out-pointer of `result = "out"`.
    pub params: &'static [ParamInfo],
    /// The values of the out-pointer, if it has one.
    pub out_pointer: &'static [ValueType],
    /// The result's type, as written; empty where there is none.
    pub result_ty: &'static str,
    /// The values that it returns.
    pub results: &'static [ValueType],
    /// Its doc comment.
    pub doc: &'static str,
}

impl ExportInfo {
    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn new<M, R: FromGuest>(
        name: &'static str,
        suspending: bool,
        params: &'static [ParamInfo],
        result_ty: &'static str,
        doc: &'static str,
    ) -> Self
    where
        M: Output<R>,
    {
        assert_not_too_many(params, M::Params::TYPES);
        Self {
            name,
            suspending,
            params,
            out_pointer: M::Params::TYPES,
            result_ty,
            results: M::Results::TYPES,
            doc,
        }
    }
}

pub(crate) fn bind<T: Send + 'static, E: Exports>(guest: &Guest<T>) -> Result<E> {
    let mut lookup = ExportLookup { guest, mismatches: Vec::new() };
    let found = E::from_guest_exports(&mut lookup);
    let mismatches = lookup.mismatches;
    match found {
        Some(exports) if mismatches.is_empty() => Ok(exports),
        _ => Err(Error::Exports { interface: E::NAME.to_owned(), mismatches }),
    }
}

/// Finds the exports of a trait, and notes all that differ.
pub struct ExportLookup<'a, T: Send + 'static> {
    guest: &'a Guest<T>,
    mismatches: Vec<String>,
}

impl<T: Send + 'static> ExportLookup<'_, T> {
    /// The export, if the guest has it with this signature.
    pub fn function<A, M, R>(&mut self, info: &'static ExportInfo) -> Option<ExportFn<A, M, R>>
    where
        A: Args<Values: Concat<M::Params>>,
        M: Output<R>,
        R: Send + 'static,
    {
        let function = Function::new(self.guest.inner(), info.name, info.params);
        match function.and_then(Function::typed) {
            Ok(function) => Some(function),
            Err(Error::SignatureMismatch { expected, actual, .. }) => {
                self.mismatches.push(format!(
                    "{} is declared as {expected}, the guest has {actual}",
                    Name(info.name)
                ));
                None
            }
            Err(error) => {
                self.mismatches.push(error.to_string());
                None
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for ExportLookup<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportLookup").field("mismatches", &self.mismatches).finish_non_exhaustive()
    }
}

/// What a guest exports. Asyncify's functions, and what loading the module added, are not shown.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// for (name, ty) in guest.all_exports().iter() {
///     println!("{name}: {ty:?}");
/// }
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct AsyncExports<T: Send + 'static> {
    guest: Guest<T>,
}

impl<T: Send + 'static> AsyncExports<T> {
    pub(crate) fn new(guest: Guest<T>) -> Self {
        Self { guest }
    }

    /// The names and types of all exports.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let exports = guest.all_exports();
    /// let functions = exports.iter().filter(|(_, ty)| ty.func().is_some()).count();
    /// assert_eq!(functions, 5);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ExternType)> {
        self.guest.inner().exports.iter().map(|export| (&*export.name, &export.ty))
    }

    /// The function `name`, to be called with dynamic values.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`], which lists the functions there are.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let error = guest.all_exports().function("dubble").unwrap_err();
    /// assert!(error.to_string().starts_with(
    ///     "the guest exports no function `dubble` (did you mean `double`?); it exports `malloc`",
    /// ));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn function(&self, name: &str) -> Result<AsyncFunction> {
        Ok(Function::new(self.guest.inner(), name, &[])?.dynamic())
    }

    /// The function `name`, to be called with the wasm values `P` for the wasm values `R`, both
    /// tuples.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`], which lists the functions there are;
    /// [`Error::SignatureMismatch`] if it has another signature.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let double = guest.all_exports().typed::<(u32,), (u32,)>("double")?;
    /// assert_eq!(double.call((4,)).await?, (8,));
    ///
    /// let error = guest.all_exports().typed::<(u32,), (u64,)>("double").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`double` has the type (i32) -> (i32), and was used as (i32) -> (i64)",
    /// );
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn typed<P, R>(&self, name: &str) -> Result<TypedAsyncFunction<P, R>>
    where
        P: Values + Concat<(), Out = P>,
        R: Values + FromGuest<Abi = R> + ResultAbi<Values = R>,
    {
        Function::new(self.guest.inner(), name, &[])?.typed()
    }

    /// The memory `name`.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`], which lists the memories there are.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let memory = guest.all_exports().memory("memory")?;
    /// assert_eq!(guest.with(|cx| memory.size(&*cx)).await?, 1);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn memory(&self, name: &str) -> Result<Memory> {
        self.find("memory", name, |item| item.clone().into_memory())
    }

    /// The table `name`.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`], which lists the tables there are.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let table = guest.all_exports().table("table")?;
    /// assert_eq!(guest.with(|cx| table.size(&*cx)).await?, 1);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn table(&self, name: &str) -> Result<Table> {
        self.find("table", name, |item| item.clone().into_table())
    }

    /// The global `name`.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`], which lists the globals there are.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let version = guest.all_exports().global("version")?;
    /// let value = guest.with(|cx| Ok::<_, asyncify::Error>(version.get(cx.store()?))).await??;
    /// assert_eq!(value.unwrap_i32(), 3);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn global(&self, name: &str) -> Result<Global> {
        self.find("global", name, |item| item.clone().into_global())
    }

    fn find<X>(
        &self,
        kind: &'static str,
        name: &str,
        get: impl Fn(&Extern) -> Option<X>,
    ) -> Result<X> {
        self.guest.inner().find(kind, name, |export| get(&export.item))
    }
}

impl<T: Send + 'static> fmt::Debug for AsyncExports<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
