//! Hosts, and the list of what they offer.

use std::fmt;
use std::sync::Arc;

use wasmtime::Linker;

use super::info::ImportInfo;
use crate::error::{Error, Name, Result, wasm_opt_arg_list, wasm_opt_args};
use crate::store::State;

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
        wasm_opt_arg_list(suspending::<Self>())
    }
}

/// The arguments for the suspending imports of `H`.
#[doc(hidden)]
#[must_use]
pub fn host_wasm_opt_args<H: Imports>() -> String {
    wasm_opt_args(suspending::<H>())
}

fn suspending<H: Imports>() -> impl Iterator<Item = (&'static str, &'static str)> {
    H::IMPORTS.iter().filter(|import| import.suspending).map(ImportInfo::id)
}

/// Defines it under the name that the guest has.
type Define<T> =
    Box<dyn Fn(&mut Linker<State<T>>, &str, &str) -> wasmtime::Result<()> + Send + Sync>;

pub(super) struct Definition<T: Send + 'static> {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) suspending: bool,
    /// Not offered. It keeps its place: the tasks of the others go by theirs.
    pub(super) left_out: bool,
    /// What the host calls it, as `module.name`, where the guest has another name.
    pub(super) renamed: Option<String>,
    pub(super) define: Define<T>,
}

impl<T: Send + 'static> Definition<T> {
    /// Whether it is offered as `import`, which is `module.name`.
    pub(super) fn is_called(&self, import: &str) -> bool {
        let name = import.strip_prefix(&*self.module).and_then(|rest| rest.strip_prefix('.'));
        !self.left_out && name == Some(&*self.name)
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
    pub(super) definitions: Vec<Definition<T>>,
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
        wasm_opt_arg_list(self.suspending_imports())
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

    pub(super) fn add<F>(
        &mut self,
        module: &str,
        name: &str,
        suspending: bool,
        define: F,
    ) -> &mut Self
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
