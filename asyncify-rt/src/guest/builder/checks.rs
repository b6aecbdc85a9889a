//! How closely the guest's instrumentation is looked at.

use super::Builder;
#[cfg(doc)]
use crate::error::Error;

/// How closely the guest's instrumentation is looked at.
impl<T: Send + 'static> Builder<T> {
    /// Accepts a module in which functions were left out of the instrumentation that call a
    /// suspending import, or a function that can suspend: you know that nothing waits there.
    ///
    /// Nor is it looked at then, where the guest drives Asyncify itself or other instances are in its
    /// store, whether one of those is on the stack when the guest waits.
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
    /// let guest = Guest::builder(&module).imports(Host).trust_instrumentation().instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trust_instrumentation(mut self) -> Self {
        self.settings.trusts = true;
        self
    }

    /// Looks at each suspension whether every function on the stack was instrumented, and ends the
    /// call with [`Error::UninstrumentedCaller`] or [`Error::LeftOut`] if one was not, before anything
    /// has gone wrong.
    ///
    /// A function that was left out, by `ignore-indirect` or a list, runs on while the others
    /// unwind, and runs again when they are rewound. Otherwise that is told when it comes to an
    /// import that is defined here; what it does in a function of [`link`](Self::link) goes
    /// unnoticed. What a module calls by name is told when it is linked; this is for what it calls
    /// through a table, where nobody can know before whether that suspends. To walk the stack takes longer than to suspend: it is meant for tests, and for
    /// guests that are not known well.
    ///
    /// wasmtime shows as many frames as `Config::wasm_backtrace_max_frames` says, 20 if it says
    /// nothing. A call that suspends below as many ends with [`Error::Config`].
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
    /// let guest = Guest::builder(&module).imports(Host).check_frames().instantiate().await?;
    /// # let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// spin.call((1,)).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn check_frames(mut self) -> Self {
        self.settings.check_frames = true;
        self
    }
}
