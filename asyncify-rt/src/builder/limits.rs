//! How much the guest may take, of memory and of time.

use wasmtime::StoreLimits;

use super::Builder;
use crate::deadline;
#[cfg(doc)]
use crate::error::Error;
use crate::limits::Limits;

impl<T: Send + 'static> Builder<T> {
    /// How much the guest's calls may hold. See [`Limits`] for an example.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How large the guest's memories and tables may grow.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (memory 2))"#)?;
    /// use asyncify::wasmtime::StoreLimitsBuilder;
    ///
    /// let limits = StoreLimitsBuilder::new().memory_size(64 << 10).build();
    /// let refused = Guest::builder(&module).store_limits(limits).instantiate().await;
    /// assert!(refused.is_err(), "its memory starts with two pages");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn store_limits(mut self, limits: StoreLimits) -> Self {
        self.settings.store_limits = Some(limits);
        self
    }

    /// How many epoch ticks each run of wasm has before it ends with [`Error::Deadline`]. Somebody
    /// must tick: [`Ticker`](crate::Ticker) does, or your own calls of
    /// [`Engine::increment_epoch`](wasmtime::Engine::increment_epoch).
    ///
    /// ```
    /// use std::time::Duration;
    /// use asyncify::wasmtime::{Config, Engine};
    /// use asyncify::{Error, Guest, Module, Ticker};
    ///
    /// # futures::executor::block_on(async {
    /// let mut config = Config::new();
    /// config.epoch_interruption(true);
    /// # let engine = Engine::new(&config).unwrap();
    /// let _ticker = Ticker::start(&engine, Duration::from_millis(1))?;
    ///
    /// let module = Module::new(&engine, r#"(module (func (export "run") (loop br 0)))"#)?;
    /// let guest = Guest::builder(&module).epoch_deadline(5).instantiate().await?;
    /// let run = guest.all_exports().typed::<(), ()>("run")?;
    /// assert!(matches!(run.call(()).await, Err(Error::Deadline { ticks: 5, .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn epoch_deadline(mut self, ticks: u64) -> Self {
        self.settings.deadline = Some(ticks.min(deadline::NEVER));
        self
    }
}
