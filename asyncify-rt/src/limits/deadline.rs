//! Deadlines for a guest that runs too long: who ticks, and whether the engine listens.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak, Instance, Module, Store};

use crate::error::{Error, Result};

/// Ticks an engine's epoch, for [`Builder::epoch_deadline`](crate::Builder::epoch_deadline),
/// until it is dropped.
///
/// ```
/// use std::time::Duration;
/// use asyncify::Ticker;
/// use asyncify::wasmtime::{Config, Engine};
///
/// let mut config = Config::new();
/// config.epoch_interruption(true);
/// let engine = Engine::new(&config).unwrap();
/// let ticker = Ticker::start(&engine, Duration::from_millis(10))?;
/// # drop(ticker);
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nobody ticks once it is dropped"]
pub struct Ticker {
    /// Closing it stops the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts a thread that ticks `engine` once every `period`.
    ///
    /// # Errors
    /// [`Error::Config`] if the engine does not interrupt by epochs, or the thread cannot start.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use asyncify::wasmtime::Engine;
    /// use asyncify::{Error, Ticker};
    ///
    /// // This engine does not look at the epoch.
    /// let refused = Ticker::start(&Engine::default(), Duration::from_millis(10));
    /// assert!(matches!(refused, Err(Error::Config(_))));
    /// ```
    pub fn start(engine: &Engine, period: Duration) -> Result<Self> {
        check_engine(engine)?;
        let (stop, stopped) = channel::<()>();
        let engine: EngineWeak = engine.weak();
        let tick = move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("epoch ticker".to_owned()).spawn(tick);
        let thread = thread
            .map_err(|error| Error::Config(format!("the ticker's thread cannot start: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and there is no one to tell.
            let _ = thread.join();
        }
    }
}

/// Whether a run of wasm ended at its deadline.
fn is_deadline(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref(), Some(wasmtime::Trap::Interrupt))
}

/// Ticks that no engine ever counts: the epoch may lie as far behind as it likes.
pub(crate) const NEVER: u64 = u64::MAX / 2;

/// An error if the engine's guests do not look at the epoch: a deadline would do nothing.
pub(crate) fn check_engine(engine: &Engine) -> Result<()> {
    // `(module (func (export "f")))`: a function that ends at once, unless the epoch ends it first.
    const PROBE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x04\x01\x02\0\x0b";
    let run = || {
        let module = Module::new(engine, PROBE)?;
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(0);
        // An engine that counts fuel would end the function too. One that does not refuses this.
        let _ = store.set_fuel(u64::MAX);
        let instance = Instance::new(&mut store, &module, &[])?;
        let probe = instance.get_typed_func::<(), ()>(&mut store, "f")?;
        let ended = probe.call(&mut store, ());
        Ok::<_, wasmtime::Error>(ended.is_err_and(|error| is_deadline(&error)))
    };
    match run() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Config(
            "the engine does not interrupt by epochs, so a deadline would do nothing; turn it on with `Config::epoch_interruption(true)`"
                .to_owned(),
        )),
        Err(error) => Err(Error::Config(format!("the engine cannot run a probe: {error}"))),
    }
}
