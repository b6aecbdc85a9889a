//! How many calls wait within each other, because an import calls its guest, which calls the import.
//!
//! Each of them is polled within the one around it, so that a guest which could nest them without
//! end would run its host out of stack.
//!
//! And how many imports are polled within each other on their guests' stacks. Each is there for the
//! first time it is polled, and the one around it calls its guest. A guest may take as much of the
//! thread's stack as the engine gives to wasm, so there are not many.

//!
//! And which calls they are, where those of one guest take turns: a call that is polled within
//! another's poll is one that the other waits for.

use std::cell::{Cell, RefCell};

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The imports that are polled on their guests' stacks, and how many calls were put off since
    /// the last of them began.
    static INSIDE: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    /// The calls that are polled within each other and take turns: whose, and their numbers there.
    static AROUND: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
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

/// A call that takes turns is polled, as long as this is there.
pub(crate) struct Around(());

impl Around {
    /// `turns` tells guests apart.
    pub(crate) fn enter(turns: usize, number: u64) -> Self {
        AROUND.with_borrow_mut(|around| around.push((turns, number)));
        Self(())
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        AROUND.with_borrow_mut(Vec::pop);
    }
}

/// The innermost call of a guest that is polled on this thread and that `is_it` takes.
pub(crate) fn innermost(turns: usize, is_it: impl Fn(u64) -> bool) -> Option<u64> {
    AROUND.with_borrow(|around| {
        let mut calls = around.iter().rev().filter(|(of, _)| *of == turns);
        calls.find(|(_, number)| is_it(*number)).map(|(_, number)| *number)
    })
}
