//! What becomes of the guest when a call ends early.

use super::Builder;

/// What becomes of the guest when a call ends early.
impl<T: Send + 'static> Builder<T> {
    /// Leaves the guest open for other calls when one traps. By default a trap poisons it, and so
    /// it does where its shadow stack cannot be freed, for want of the [`stack_pointer`](Self::stack_pointer).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (func (export "fail") unreachable))"#)?;
    /// let guest = Guest::builder(&module).trap_keeps_guest().instantiate().await?;
    /// let fail = guest.all_exports().typed::<(), ()>("fail")?;
    /// assert!(fail.call(()).await.is_err());
    /// assert!(!guest.is_poisoned().await?);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trap_keeps_guest(mut self) -> Self {
        self.settings.trap_clears = true;
        self
    }

    /// Poisons the guest also when the host ends a call, by an error or by dropping it.
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
    /// let guest = Guest::builder(&module).imports(Host).host_end_poisons().instantiate().await?;
    /// let mut call = guest.all_exports().typed::<(u32,), (u32,)>("spin")?.call((1,));
    /// assert!(futures::poll!(&mut call).is_pending());
    /// drop(call);
    /// assert!(guest.is_poisoned().await?);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn host_end_poisons(mut self) -> Self {
        self.settings.host_end_poisons = true;
        self
    }
}
