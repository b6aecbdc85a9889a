//! What each call has of its own.

use std::sync::Arc;

use super::Builder;
use crate::cx::CallState;

/// What each call has of its own.
impl<T: Send + 'static> Builder<T> {
    /// Globals that each call has its own of, as each thread has an `errno`: what one call puts
    /// there is there when it goes on after a wait, whatever others put there meanwhile. They are
    /// named by export, by their own name or by index, and hold numbers.
    ///
    /// A new call finds in them what stood there when the guest was made, after its initializers,
    /// as a new thread does. So what a call left in them is not seen by the next, but by
    /// [`Guest::with`](crate::Guest::with) only: functions called through a
    /// [`GuestCx`](crate::GuestCx) are part of what is running, if anything is.
    ///
    /// For what stands in memory see [`call_state`](Self::call_state). A global that is not there is
    /// an [`Error::NoSuchGlobal`](crate::Error::NoSuchGlobal) of `instantiate`.
    ///
    /// ```
    /// # use asyncify::{Error, Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (global $errno (mut i32) (i32.const 0)) (func (export "fail") (result i32) global.get $errno i32.const 5 global.set $errno))"#)?;
    /// let guest = Guest::builder(&module).call_globals(["errno"]).instantiate().await?;
    /// // It returns what it found, and fails with 5.
    /// let fail = guest.all_exports().typed::<(), (u32,)>("fail")?;
    /// assert_eq!(fail.call(()).await?, (0,));
    /// assert_eq!(fail.call(()).await?, (0,));
    ///
    /// let missing = Guest::builder(&module).call_globals(["errn0"]).instantiate().await;
    /// assert!(matches!(missing, Err(Error::NoSuchGlobal { .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn call_globals<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.call_globals.extend(names.into_iter().map(N::into));
        self
    }

    /// Keeps for each call what `state` takes out when it parks, and puts back when it resumes. See
    /// [`CallState`] for an example.
    pub fn call_state(mut self, state: impl CallState<T>) -> Self {
        self.call_state = Some(Arc::new(state));
        self
    }
}
