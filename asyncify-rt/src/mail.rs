//! What calls have to say about their records when they do not hold the guest's lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use crate::parked::Key;

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
    pub(crate) dropped: Vec<(Key, Box<[u32]>)>,
    /// Calls that are polled with another waker than before.
    pub(crate) wakers: HashMap<Key, Waker>,
}

impl Mailbox {
    pub(crate) fn write(&self, letter: impl FnOnce(&mut Letters)) {
        letter(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        self.any.store(true, Ordering::SeqCst);
    }

    /// Wakes the calls whose new wakers have not been collected yet.
    pub(crate) fn wake_changed(&self) {
        let wakers: Vec<_> = {
            let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            letters.wakers.values().cloned().collect()
        };
        // A waker may drop a call, which writes a letter.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// All letters, if there are any.
    #[inline]
    pub(crate) fn collect(&self) -> Option<Letters> {
        if self.any.load(Ordering::SeqCst) { Some(self.take()) } else { None }
    }

    #[cold]
    fn take(&self) -> Letters {
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
