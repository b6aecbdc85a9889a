//! How many calls wait within each other, because an import calls its guest, which calls the import.
//!
//! Each of them is polled within the one around it, so that a guest which could nest them without
//! end would run its host out of stack.

use std::cell::Cell;

thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });

/// The calls around the one that this thread polls.
pub(crate) fn depth() -> usize {
    DEPTH.get()
}

/// Polls what a call waits in: the calls that are polled by `f` are within that call.
pub(crate) fn within<R>(f: impl FnOnce() -> R) -> R {
    /// Ends also when `f` panics.
    struct Within;
    impl Drop for Within {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _within = Within;
    f()
}
