//! What the guest imports: annotated hosts, imports by hand, and wasmtime's own linker.

use std::sync::Arc;

use wasmtime::{Linker, Store};

use super::Builder;
use crate::error::{Error, Result};
use crate::imports::{AsyncImports, Imports};
use crate::store::State;

/// What the guest imports: annotated hosts, imports by hand, and wasmtime's own linker.
impl<T: Send + 'static> Builder<T> {
    /// Offers the guest the imports of an annotated host.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn imports<H: Imports>(self, host: H) -> Self {
        self.shared_imports(Arc::new(host))
    }

    /// As [`imports`](Self::imports), for a host that others use too.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// use std::sync::Arc;
    ///
    /// let host = Arc::new(Host);
    /// let first = Guest::builder(&module).shared_imports(Arc::clone(&host)).instantiate().await?;
    /// let second = Guest::builder(&module).shared_imports(host).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn shared_imports<H: Imports>(mut self, host: Arc<H>) -> Self {
        self.imports.host(host);
        self
    }

    /// Offers the guest imports that are defined by hand. See [`AsyncImports::define`] for an example.
    pub fn async_imports(mut self, imports: AsyncImports<T>) -> Self {
        self.imports.append(imports);
        self
    }

    /// Links what else the guest needs, with wasmtime's own linker. Two definitions of one name
    /// are an error; see [`without`](Self::without) and [`allow_shadowing`](Self::allow_shadowing)
    /// to replace one function of many.
    ///
    /// The synchronous functions of `wasmtime-wasi` block on the runtime of tokio that they find,
    /// which panics where a call is polled in that runtime. Poll such a call within
    /// `tokio::task::block_in_place`, which needs a runtime of several threads and takes up one
    /// for each run of the guest, or offer the few functions that a guest needs as imports.
    ///
    /// Such functions do not suspend, and must not call the guest in a way that suspends. Nothing
    /// keeps them from running while the guest unwinds or rewinds, as a function that was not
    /// instrumented would call them; see [`check_frames`](Self::check_frames).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "math" "double" (func $double (param i32) (result i32))) (func (export "run") (result i32) i32.const 4 call $double))"#)?;
    /// let guest = Guest::builder(&module)
    ///     .link(|linker| linker.func_wrap("math", "double", |n: u32| n * 2).map(drop))
    ///     .instantiate()
    ///     .await?;
    /// let run = guest.all_exports().typed::<(), (u32,)>("run")?;
    /// assert_eq!(run.call(()).await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn link<E>(
        mut self,
        link: impl FnOnce(&mut Linker<State<T>>) -> std::result::Result<(), E>,
    ) -> Self
    where
        E: Into<crate::BoxError>,
    {
        self.linked = true;
        if let Err(error) = link(&mut self.linker) {
            self.mistake.get_or_insert(Error::Instantiate { source: error.into() });
        }
        self
    }

    /// As [`link`](Self::link), with the guest's store at hand: to define a memory or a global
    /// that the guest imports, say. It runs within [`instantiate`](Self::instantiate). An imported
    /// memory that nobody defines is made to the limits that the module declares.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "base" (global (mut i32))) (func (export "base") (result i32) global.get 0))"#)?;
    /// use asyncify::wasmtime::{Global, GlobalType, Mutability, Val, ValType};
    ///
    /// let guest = Guest::builder(&module)
    ///     .link_with_store(|linker, store| {
    ///         let ty = GlobalType::new(ValType::I32, Mutability::Var);
    ///         let base = Global::new(&mut *store, ty, Val::I32(1024))?;
    ///         Ok(linker.define(&mut *store, "env", "base", base).map(drop)?)
    ///     })
    ///     .instantiate()
    ///     .await?;
    /// let base = guest.all_exports().typed::<(), (u32,)>("base")?;
    /// assert_eq!(base.call(()).await?, (1024,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn link_with_store(
        mut self,
        link: impl FnOnce(&mut Linker<State<T>>, &mut Store<State<T>>) -> Result<(), crate::BoxError>
        + Send
        + 'static,
    ) -> Self {
        self.link_with_store.push(Box::new(link));
        self
    }

    /// Lets imports that nobody defines trap when they are called, instead of refusing the module.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "abort" (func)) (func (export "three") (result i32) i32.const 3))"#)?;
    /// assert!(Guest::builder(&module).instantiate().await.is_err());
    /// let guest = Guest::builder(&module).trap_unknown_imports().instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trap_unknown_imports(mut self) -> Self {
        self.trap_unknown = true;
        self
    }
}
