//! How many calls wait within each other, because an import calls its guest, which calls the import.
//!
//! Each of them is polled within the one around it, so that a guest which could nest them without
//! end would run its host out of stack.
//!
//! And how many imports are polled within each other on their guests' stacks. Each is there for the
//! first time it is polled, and the one around it calls its guest. A guest may take as much of the
//! thread's stack as the engine gives to wasm, so there are not many.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The imports that are polled on their guests' stacks, and how many calls were put off since
    /// the last of them began.
    static INSIDE: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Two of wasmtime's stacks for wasm, 512 KiB each, fit the 2 MiB that most threads have.
const GUESTS: u32 = 2;
/// An executor that blocks in an import would ask for ever.
const PUT_OFF: u32 = 1_000;

/// The calls around the one that this thread polls.
pub(crate) fn depth() -> usize {
    DEPTH.get()
}

/// Polls what a parked call waits for.
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

/// An import is polled on its guest's stack, as long as this is there.
pub(crate) struct Inside((u32, u32));

impl Inside {
    #[inline]
    pub(crate) fn enter() -> Self {
        let around = INSIDE.get();
        INSIDE.set((around.0 + 1, 0));
        Self(around)
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Whether a call is to be polled later: when the imports around it have parked, their guests are
/// on the stack no more.
#[inline]
pub(crate) fn puts_off() -> bool {
    let (guests, times) = INSIDE.get();
    let puts_off = guests >= GUESTS && times < PUT_OFF;
    if puts_off {
        INSIDE.set((guests, times + 1));
    }
    puts_off
}
