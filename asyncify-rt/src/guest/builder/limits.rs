//! How much the guest may take, of memory, time and fuel.

use wasmtime::StoreLimits;

use super::Builder;
#[cfg(doc)]
use crate::error::Error;
use crate::limits::{Limits, NEVER};

/// How much the guest may take, of memory, time and fuel.
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
        self.settings.budget.ticks = Some(ticks.min(NEVER));
        self
    }

    /// How much fuel each run of wasm has, from entering the guest until it returns or waits, before
    /// it ends with [`Error::OutOfFuel`]. Each run has all of it, so a call
    /// that takes too much takes nothing of another's; so has each function that runs before there
    /// is a guest.
    ///
    /// The engine must count fuel: about a unit for each instruction, and always the same for the
    /// same run, unlike [`epoch_deadline`](Self::epoch_deadline), which costs less. An engine that
    /// counts it ends a guest at once that was given none.
    ///
    /// ```
    /// use asyncify::wasmtime::{Config, Engine};
    /// use asyncify::{Error, Guest, Module};
    ///
    /// # futures::executor::block_on(async {
    /// let mut config = Config::new();
    /// config.consume_fuel(true);
    /// # let engine = Engine::new(&config).unwrap();
    ///
    /// let module = Module::new(&engine, r#"(module (func (export "run") (loop br 0)))"#)?;
    /// let guest = Guest::builder(&module).fuel(10_000).instantiate().await?;
    /// let run = guest.all_exports().typed::<(), ()>("run")?;
    /// assert!(matches!(run.call(()).await, Err(Error::OutOfFuel { fuel: Some(10_000), .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn fuel(mut self, units: u64) -> Self {
        self.settings.budget.fuel = Some(units);
        self
    }
}
