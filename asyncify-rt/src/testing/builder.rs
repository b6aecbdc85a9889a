//! Making a mock: a module for the hosts' imports, and a guest of it.

use std::fmt;
use std::sync::Arc;

use wasmtime::{Engine, FuncType, IntoFunc, Linker, Store};

use super::{Mock, module};
use crate::error::{BoxError, Error, Name, Result};
use crate::guest::Guest;
use crate::imports::{AsyncImports, ImportInfo, Imports};
use crate::limits::Limits;
use crate::module::Module;
use crate::store::Place;
use crate::store::State;

/// The memory that a mock has unless it is told otherwise: 1 MiB.
const PAGES: u32 = 16;
/// The most pages whose every address fits a `u32`.
const MOST_PAGES: u32 = 0xffff;
const PAGE_BYTES: u32 = 64 << 10;

/// Makes a [`Mock`].
///
/// ```
/// use asyncify::testing::Mock;
///
/// struct Files;
/// struct Clock;
///
/// #[asyncify::imports(module = "files")]
/// impl Files {
///     async fn exists(&self, path: &str) -> bool { path == "/" }
/// }
///
/// #[asyncify::imports(module = "clock")]
/// impl Clock {
///     fn now(&self) -> u64 { 1 }
/// }
///
/// # futures::executor::block_on(async {
/// let mock = Mock::builder().imports(Files).imports(Clock).pages(2).build().await?;
/// assert_eq!(mock.call::<_, u64>("clock", "now", ()).await?, 1);
/// let path = mock.place("/")?;
/// assert_eq!(mock.call::<_, i32>("files", "exists", path).await?, 1);
/// # Ok::<(), asyncify::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a builder makes nothing before `build`"]
pub struct MockBuilder {
    imports: AsyncImports<()>,
    infos: Vec<&'static ImportInfo>,
    exports: Vec<Export>,
    pages: u32,
    limits: Limits,
}

/// A function that the guest would export.
struct Export {
    name: String,
    define: Define,
}

/// Defines an export's function: first in a linker of no guest, to learn its type.
type Define = Box<dyn Fn(&mut Linker<State<()>>) -> wasmtime::Result<()> + Send>;

impl MockBuilder {
    pub(super) fn new() -> Self {
        Self {
            imports: AsyncImports::new(),
            infos: Vec::new(),
            exports: Vec::new(),
            pages: PAGES,
            limits: Limits::default(),
        }
    }

    /// Adds the imports of an annotated host.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     fn three(&self) -> u32 { 3 }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let mock = Mock::builder().imports(Host).build().await?;
    /// assert_eq!(mock.call::<_, u32>("env", "three", ()).await?, 3);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn imports<H: Imports>(self, host: H) -> Self {
        self.shared_imports(Arc::new(host))
    }

    /// As [`imports`](Self::imports), for a host that the test looks into as well. See
    /// [`Mock::shared`] for an example.
    pub fn shared_imports<H: Imports>(mut self, host: Arc<H>) -> Self {
        self.imports.host(host);
        self.infos.extend(H::IMPORTS);
        self
    }

    /// A function that the guest would export, for a host whose values are read or built by the
    /// guest's own functions ([`GuestCx::call`](crate::GuestCx::call)). It takes and returns wasm values, and may take a
    /// `wasmtime::Caller` first.
    ///
    /// ```
    /// use asyncify::testing::Mock;
    /// use asyncify::{GuestCx, IntoGuest, Trap};
    ///
    /// /// An object that the guest makes of a text.
    /// struct JsString(String);
    ///
    /// impl IntoGuest for JsString {
    ///     type Abi = u32;
    ///     fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
    ///         let text = cx.place(self.0.as_bytes())?;
    ///         Ok(cx.call("new_string", (text.ptr, text.len))?)
    ///     }
    /// }
    ///
    /// struct Host;
    ///
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     async fn title(&self) -> JsString { JsString("Title".to_owned()) }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let mock = Mock::builder()
    ///     .imports(Host)
    ///     .export("new_string", |_ptr: u32, len: u32| 1000 + len)
    ///     .build()
    ///     .await?;
    /// assert_eq!(mock.call::<_, u32>("env", "title", ()).await?, 1005);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn export<P, R>(
        mut self,
        name: &str,
        function: impl IntoFunc<State<()>, P, R> + Clone,
    ) -> Self {
        let name = name.to_owned();
        let export = name.clone();
        let define = move |linker: &mut Linker<State<()>>| {
            linker.func_wrap(module::STAND_INS, &export, function.clone()).map(|_| ())
        };
        self.exports.push(Export { name, define: Box::new(define) });
        self
    }

    /// The memory's size in pages of 64 KiB; 16 by default.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// let mock = Mock::builder().pages(1).build().await?;
    /// // The first 1024 bytes are the mock's own.
    /// assert!(mock.reserve(63 << 10).is_ok());
    /// assert!(mock.reserve(1).is_err());
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn pages(mut self, pages: u32) -> Self {
        self.pages = pages;
        self
    }

    /// How much the mock's calls may hold: to test what becomes of one call too many.
    ///
    /// ```
    /// use asyncify::testing::Mock;
    /// use asyncify::{Error, Limits};
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     async fn wait(&self) { std::future::pending().await }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let limits = Limits::default().parked_calls(0);
    /// let mock = Mock::builder().imports(Host).limits(limits).build().await?;
    /// let refused = mock.call::<_, ()>("env", "wait", ()).await;
    /// assert!(matches!(refused, Err(Error::Limit { limit: 0, .. })));
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes the mock.
    ///
    /// # Errors
    /// [`Error::Config`] if two imports or two exports have one name, or the memory has no pages
    /// or more than 65535.
    ///
    /// ```
    /// # use asyncify::Error;
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// let mock = Mock::builder().export("malloc", |_size: u32| 0_u32).build().await;
    /// assert!(matches!(mock, Err(Error::Config(_))));
    /// # });
    /// ```
    pub async fn build(self) -> Result<Mock> {
        let Self { imports, infos, exports, pages, limits } = self;
        if !(1..=MOST_PAGES).contains(&pages) {
            let message = format!("a mock has between 1 and {MOST_PAGES} pages, not {pages}");
            return Err(Error::Config(message));
        }
        let engine = Engine::default();
        let typed = export_types(&engine, &exports)?;
        let module = Module::from_binary(&engine, &module::encode(&infos, &typed, pages)?)?;
        let define = |linker: &mut Linker<State<()>>| {
            exports.iter().try_for_each(|export| (export.define)(linker))
        };
        let guest = Guest::builder(&module)
            .async_imports(imports)
            .link(|linker| define(linker).map_err(BoxError::from))
            .no_stack_pointer()
            .place(Place::Range(module::WINDOW))
            .window_size(module::WINDOW_BYTES)
            .limits(limits)
            .trap_keeps_guest()
            .instantiate()
            .await?;
        Ok(Mock { guest, imports: infos.into(), memory_size: pages * PAGE_BYTES })
    }
}

impl fmt::Debug for MockBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports = self.exports.iter().map(|export| &export.name).collect::<Vec<_>>();
        f.debug_struct("MockBuilder")
            .field("imports", &self.imports)
            .field("exports", &exports)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}

/// The name and type of each export. Only the engine knows what a closure's wasm type is.
fn export_types(engine: &Engine, exports: &[Export]) -> Result<Vec<(String, FuncType)>> {
    let mut linker = Linker::new(engine);
    let mut store = Store::new(engine, State::bare(()));
    let name_taken = |name: &str| Error::Config(format!("the mock has two exports {}", Name(name)));
    exports
        .iter()
        .map(|Export { name, define }| {
            if module::OWN_EXPORTS.contains(&name.as_str()) {
                return Err(name_taken(name));
            }
            define(&mut linker).map_err(|_| name_taken(name))?;
            let item = linker.get(&mut store, module::STAND_INS, name);
            let func = item.ok().and_then(wasmtime::Extern::into_func);
            let func = func.ok_or_else(|| name_taken(name))?;
            Ok((name.clone(), func.ty(&store)))
        })
        .collect()
}
