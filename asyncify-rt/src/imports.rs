//! What a host offers its guests: registration, and what happens when an import is called.

mod dispatch;
mod dynamic;
mod names;
mod parts;
mod task;
mod wasm_opt;

pub(crate) use dynamic::zeros;
use names::Definition;
pub use parts::{ListedBy, PartOf, is_listed, is_part, join, total};
pub(crate) use task::Tasks;
pub(crate) use wasm_opt::command as wasm_opt_args;
pub use wasm_opt::host_wasm_opt_args;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wasmtime::{Linker, Val};

use crate::error::{Error, Name, Result, Trap};
use crate::marshal::{Answer, IntoGuest, ParamInfo, Site, ValueType, Values, assert_not_too_many};
use crate::state::State;

/// A host: implemented by `#[asyncify::imports]`, once for a type. Further annotated blocks of the
/// same type are its parts: they say `part = Name`, and this one lists them, `parts = [Name]`.
///
/// ```
/// use asyncify::Imports;
///
/// struct Host;
///
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     async fn sleep_ms(&self, ms: u32) {
/// #       let _ = ms;
///     }
/// }
///
/// fn list<H: Imports>() -> Vec<String> {
///     H::IMPORTS.iter().map(ToString::to_string).collect()
/// }
/// assert_eq!(list::<Host>(), ["env.sleep_ms: (i32) -> ()"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` offers no imports",
    note = "annotate its `impl` block with `#[asyncify::imports(module = \"…\")]`",
    note = "a host in an `Arc` goes to `shared_imports`, and `AsyncImports` to `async_imports`"
)]
pub trait Imports: Sized + 'static {
    /// Every import of the block.
    const IMPORTS: &'static [ImportInfo];

    /// Adds every import of the block to `imports`.
    fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>);

    /// What `wasm-opt` needs beside `--asyncify` to instrument a guest of this host, one argument
    /// after the other, as [`Command`](std::process::Command) takes them. A host's own
    /// `wasm_opt_args` is the same for a shell, quoted where it must be.
    ///
    /// ```
    /// use asyncify::Imports;
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } }
    ///
    /// let mut wasm_opt = std::process::Command::new("wasm-opt");
    /// wasm_opt.args(["guest.wasm", "--asyncify", "-O2", "-o", "guest.async.wasm"]);
    /// wasm_opt.args(Host::wasm_opt_arg_list());
    /// ```
    #[must_use]
    fn wasm_opt_arg_list() -> Vec<String> {
        wasm_opt::arguments(suspending::<Self>())
    }
}

fn suspending<H: Imports>() -> impl Iterator<Item = (&'static str, &'static str)> {
    H::IMPORTS.iter().filter(|import| import.suspending).map(ImportInfo::id)
}

/// An import, as a host declares it.
///
/// ```
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     /// The length of a text.
///     fn length(&self, text: &str) -> u32 { text.len() as u32 }
/// }
///
/// let info = &Host::IMPORTS[0];
/// assert_eq!((info.module, info.name, info.suspending), ("env", "length", false));
/// assert_eq!((info.params[0].ty, info.doc), ("&str", "The length of a text."));
/// assert_eq!(info.to_string(), "env.length: (i32, i32) -> (i32)");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ImportInfo {
    /// The module that the guest imports it from.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Whether it may suspend the guest: whether it is an `async fn`, or a trampoline.
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

impl ImportInfo {
    /// What stands in a list that is not filled yet.
    const NONE: Self = Self {
        module: "",
        name: "",
        suspending: false,
        params: &[],
        out_pointer: &[],
        result_ty: "",
        results: &[],
        doc: "",
    };

    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn new<M, R: IntoGuest>(
        module: &'static str,
        name: &'static str,
        suspending: bool,
        params: &'static [ParamInfo],
        result_ty: &'static str,
        doc: &'static str,
    ) -> Self
    where
        M: Answer<R>,
    {
        assert_not_too_many(params, M::Params::TYPES);
        Self {
            module,
            name,
            suspending,
            params,
            out_pointer: M::Params::TYPES,
            result_ty,
            results: M::Results::TYPES,
            doc,
        }
    }

    /// Its wasm values.
    fn signature(&self) -> (Vec<ValueType>, Vec<ValueType>) {
        let params = self.params.iter().flat_map(|param| param.values);
        (params.chain(self.out_pointer).copied().collect(), self.results.to_vec())
    }

    #[inline]
    fn id(&self) -> (&'static str, &'static str) {
        (self.module, self.name)
    }

    fn site(&self) -> Site<'static> {
        Site::import(self.module, self.name, self.params)
    }
}

impl fmt::Display for ImportInfo {
    /// As the guest declares it: `env.fetch: (i32, i32, i32, i32) -> (i32)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (params, results) = self.signature();
        write!(f, "{}.{}: {}", self.module, self.name, signature(&params, &results))
    }
}

/// A signature as the guest's text format would have it.
pub(crate) fn signature<V: fmt::Display>(params: &[V], results: &[V]) -> String {
    let list = |values: &[V]| values.iter().map(V::to_string).collect::<Vec<_>>().join(", ");
    format!("({}) -> ({})", list(params), list(results))
}

/// What an import's body answers with.
///
/// ```
/// use asyncify::ImportResult;
/// use asyncify::wasmtime::Val;
///
/// let now = ImportResult::Sync(vec![Val::I32(7)]);
/// let later = ImportResult::wait(async { Ok(vec![Val::I32(7)]) });
/// # let _ = (now, later);
/// ```
pub enum ImportResult {
    /// The results, now.
    Sync(Vec<Val>),
    /// The results, when this future is ready. The guest waits, if it is not ready at once.
    Async(Pin<Box<dyn Future<Output = Result<Vec<Val>, Trap>> + Send>>),
}

impl ImportResult {
    /// The results when `future` is ready.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use asyncify::ImportResult;
    /// let answer = ImportResult::wait(async {
    ///     tokio::time::sleep(Duration::from_millis(10)).await;
    ///     Ok(vec![])
    /// });
    /// # let _ = answer;
    /// ```
    pub fn wait(future: impl Future<Output = Result<Vec<Val>, Trap>> + Send + 'static) -> Self {
        Self::Async(Box::pin(future))
    }
}

impl fmt::Debug for ImportResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync(results) => f.debug_tuple("Sync").field(results).finish(),
            Self::Async(_) => f.write_str("Async(_)"),
        }
    }
}

/// The imports of a guest whose store holds a `T`: what `#[asyncify::imports]` fills in, and what
/// can be filled in by hand.
///
/// ```
/// use asyncify::{AsyncImports, ImportResult};
/// use asyncify::wasmtime::{Engine, FuncType, Val, ValType};
///
/// let engine = Engine::default();
/// let mut imports = AsyncImports::<()>::new();
/// let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
/// imports.define("env", "double", ty, |_, params| {
///     let number = params[0].unwrap_i32();
///     Ok(ImportResult::wait(async move { Ok(vec![Val::I32(number * 2)]) }))
/// });
/// assert_eq!(imports.wasm_opt_args(), "--pass-arg=asyncify-imports@env.double");
/// ```
pub struct AsyncImports<T: Send + 'static> {
    definitions: Vec<Definition<T>>,
}

impl<T: Send + 'static> Default for AsyncImports<T> {
    fn default() -> Self {
        Self { definitions: Vec::new() }
    }
}

impl<T: Send + 'static> AsyncImports<T> {
    /// No imports.
    ///
    /// ```
    /// # use asyncify::AsyncImports;
    /// let imports = AsyncImports::<()>::new();
    /// assert_eq!(imports.suspending_imports().count(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the imports of an annotated host.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use asyncify::AsyncImports;
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } }
    ///
    /// let mut imports = AsyncImports::<()>::new();
    /// imports.host(Arc::new(Host));
    /// assert_eq!(imports.wasm_opt_args(), Host::wasm_opt_args());
    /// ```
    pub fn host<H: Imports>(&mut self, host: Arc<H>) -> &mut Self {
        H::register(host, self);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    /// Adds all of `others`.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.definitions.append(&mut others.definitions);
    }

    /// What Binaryen's pass is told, so that it instruments for these imports: the arguments of
    /// `wasm-opt` beside `--asyncify`, as a POSIX shell reads them: in single quotes where a name
    /// has more than letters, digits and `-_./:@`. See [`AsyncImports`] for an example.
    ///
    /// Binaryen's list cannot hold a comma or a line break, nor one of some characters at its
    /// ends. In their place stands `*`, which matches any characters, and other imports' names
    /// too: those are instrumented for beside.
    #[must_use]
    pub fn wasm_opt_args(&self) -> String {
        wasm_opt_args(self.suspending_imports())
    }

    /// The same arguments one by one, as [`Command`](std::process::Command) takes them, without a
    /// shell's quotes.
    ///
    /// ```
    /// use asyncify::{AsyncImports, ImportResult};
    /// use asyncify::wasmtime::{Engine, FuncType};
    ///
    /// let mut imports = AsyncImports::<()>::new();
    /// let ty = FuncType::new(&Engine::default(), [], []);
    /// imports.define("$root", "ask", ty, |_, _| Ok(ImportResult::Sync(vec![])));
    /// assert_eq!(imports.wasm_opt_arg_list(), ["--pass-arg=asyncify-imports@$root.ask"]);
    /// assert_eq!(imports.wasm_opt_args(), "'--pass-arg=asyncify-imports@$root.ask'");
    /// ```
    #[must_use]
    pub fn wasm_opt_arg_list(&self) -> Vec<String> {
        wasm_opt::arguments(self.suspending_imports())
    }

    /// The suspending imports, as (module, name).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use asyncify::AsyncImports;
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } fn log(&self) {} }
    /// # let mut imports = AsyncImports::<()>::new();
    /// imports.host(Arc::new(Host));
    /// assert!(imports.suspending_imports().eq([("env", "sleep_ms")]));
    /// ```
    pub fn suspending_imports(&self) -> impl Iterator<Item = (&str, &str)> {
        let offered = self.definitions.iter().filter(|import| !import.left_out);
        let suspending = offered.filter(|import| import.suspending);
        suspending.map(|import| (&*import.module, &*import.name))
    }

    /// Defines the imports in `linker`, for a guest that is made with
    /// [`Guest::from_parts`](crate::Guest::from_parts) or
    /// [`Builder::from_parts`](crate::Builder::from_parts).
    ///
    /// # Errors
    /// [`Error::Config`] if the linker has an import of the same name already.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use asyncify::wasmtime::{Engine, Linker};
    /// use asyncify::{AsyncImports, Error, State};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } }
    /// # let mut imports = AsyncImports::<()>::new();
    /// # imports.host(Arc::new(Host));
    ///
    /// let mut linker = Linker::<State<()>>::new(&Engine::default());
    /// imports.add_to_linker(&mut linker)?;
    /// assert!(matches!(imports.add_to_linker(&mut linker), Err(Error::Config(_))));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn add_to_linker(&self, linker: &mut Linker<State<T>>) -> Result<()> {
        let offered = self.definitions.iter().filter(|import| !import.left_out);
        for Definition { module, name, define, .. } in offered {
            define(linker, module, name).map_err(|error| {
                let import = format!("{module}.{name}");
                Error::Config(format!(
                    "import {} cannot be defined: {error}; if it has been defined already, leave one out with `without`, or let the later one count with `allow_shadowing`",
                    Name(&import)
                ))
            })?;
        }
        Ok(())
    }

    fn add<F>(&mut self, module: &str, name: &str, suspending: bool, define: F) -> &mut Self
    where
        F: Fn(&mut Linker<State<T>>, &str, &str) -> wasmtime::Result<()> + Send + Sync + 'static,
    {
        self.definitions.push(Definition {
            module: module.to_owned(),
            name: name.to_owned(),
            suspending,
            left_out: false,
            renamed: None,
            define: Box::new(define),
        });
        self
    }
}

impl<T: Send + 'static> fmt::Debug for AsyncImports<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.definitions.iter().map(|import| (&import.module, &import.name));
        f.debug_list().entries(names).finish()
    }
}
