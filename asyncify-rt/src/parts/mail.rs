//! What calls have to say about their records when they do not hold the guest's lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use super::memory::Slice;
use super::parked::Key;
use super::waker::wake;

/// Letters to whoever takes the lock next.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// Whether there may be any.
    any: AtomicBool,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Calls that were dropped, and what was placed in the guest for their arguments.
    pub(crate) dropped: Vec<(Key, Box<[Slice]>)>,
    /// What was placed in the guest for a call that panicked.
    pub(crate) placed: Vec<Slice>,
    /// Calls that are polled with another waker than before.
    pub(crate) wakers: HashMap<Key, Waker>,
}

impl Letters {
    fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.placed.is_empty() && self.wakers.is_empty()
    }
}

impl Mailbox {
    /// Wakes the calls whose new wakers have not been collected yet.
    pub(crate) fn wake_changed(&self) {
        let wakers: Vec<_> = self.open(|letters| letters.wakers.values().cloned().collect());
        // A waker may drop a call, which writes a letter.
        wakers.iter().for_each(wake);
    }

    /// All letters, if there are any.
    #[inline]
    pub(crate) fn collect(&self) -> Option<Letters> {
        if self.any.load(Ordering::Acquire) { Some(self.open(std::mem::take)) } else { None }
    }

    /// Opens the box, for one at a time. What a letter replaces is to be dropped by the caller: to
    /// drop a waker may drop a call, which writes a letter.
    ///
    /// The flag is read and written as if there were no mutex. A thread sanitizer sees that order,
    /// but not into a mutex of a standard library that was built without it.
    #[cold]
    pub(crate) fn open<R>(&self, f: impl FnOnce(&mut Letters) -> R) -> R {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.load(Ordering::Acquire);
        let result = f(&mut letters);
        self.any.store(!letters.is_empty(), Ordering::Release);
        result
    }
}
