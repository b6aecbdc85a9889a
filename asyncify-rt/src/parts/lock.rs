//! The lock around a guest: held within one synchronous poll, never across an await.
//!
//! Unlocking wakes everybody who waits and hands the lock to nobody: a waiter that is no longer
//! polled (`select!` on `&mut call`) then holds up no one. The guard is not `Send`, so a future
//! that kept it across an await would not be `Send` either.
//!
//! ```text
//! free                 held                  held, and waited for
//! +-------+   take     +---------+   leave   +---------+
//! | value | ---------> | nothing | --------> | waiting |
//! +-------+ <--------- +---------+           +---------+
//!     ^       give back                           |
//!     +-------------------------------------------+
//!                 give back, and wake them
//! ```
//!
//! One word says all of it: whoever takes the value out has the lock, and whoever puts it back
//! finds in its place those who wait. So no wake is lost between looking and waiting, and a turn
//! costs two atomic operations.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use crossbeam_utils::atomic::AtomicCell;

use super::waker::{self, Kept};

/// How often a task may ask for the lock from inside the import that holds it. A combinator asks
/// a few times within a poll; an executor that blocks in there would ask for ever.
const ASKS_WITHIN_IMPORT: u32 = 1_000;

/// Why the lock cannot be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// By another thread, or by a call that this very poll lets go on.
    Elsewhere,
    /// By an import of the guest, further up on this thread's stack, that waits for us.
    Within,
}

/// Who holds the lock, shared with the imports that run under it.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    /// By [`thread_mark`]; 0 for none.
    thread: AtomicUsize,
    /// Whether a suspending import's future is being polled, so that asking for the lock in there
    /// may end in a wait.
    polling: AtomicBool,
    /// How often that future has asked for the lock.
    asks: AtomicU32,
    /// How often the guest has been poisoned: parked calls look at it without the lock.
    poisonings: AtomicU32,
}

impl Holder {
    /// Says that an import's future is being polled, or no longer.
    #[inline]
    pub(crate) fn set_polling(&self, polling: bool) {
        if polling {
            self.asks.store(0, Ordering::Relaxed);
        }
        self.polling.store(polling, Ordering::Relaxed);
    }

    /// Tells parked calls to look after themselves.
    pub(crate) fn note_poisoning(&self) {
        self.poisonings.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the guest has been poisoned.
    #[inline]
    pub(crate) fn poisonings(&self) -> u32 {
        self.poisonings.load(Ordering::SeqCst)
    }

    /// Whether waiting for anything in the guest would be for ever: this thread holds the lock, and
    /// blocks.
    pub(crate) fn blocks(&self) -> bool {
        self.is_this_thread() && self.ask() == Held::Within
    }

    fn is_this_thread(&self) -> bool {
        self.thread.load(Ordering::Relaxed) == thread_mark()
    }

    /// What somebody who found the lock held is told.
    #[cold]
    fn ask(&self) -> Held {
        let within = self.is_this_thread()
            && !(self.polling.load(Ordering::Relaxed)
                && self.asks.fetch_add(1, Ordering::Relaxed) < ASKS_WITHIN_IMPORT);
        if within { Held::Within } else { Held::Elsewhere }
    }
}

/// A number that no two living threads share, never 0.
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// What the lock's word leads to.
#[derive(Debug)]
enum Slot<S> {
    /// The lock is free.
    Value(S),
    /// It is held, and these wait for it.
    Waiting(Waiting),
}

/// Those who wait. They are woken when this is dropped, also by a panic.
#[derive(Debug, Default)]
struct Waiting(Vec<Kept>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.iter().for_each(|kept| waker::wake(kept.waker()));
    }
}

impl<S> Slot<S> {
    #[inline]
    fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    fn add(&mut self, waker: &Waker) {
        if let Self::Waiting(waiting) = self {
            waiting.add(waker);
        }
    }
}

impl Waiting {
    /// Adds one who waits. The list is gone through when it is full, and has twice the room that it
    /// needs from then on: however often they ask, it grows with their number alone.
    fn add(&mut self, waker: &Waker) {
        let Self(wakers) = self;
        if wakers.last().is_some_and(|last| last.mark().fits(waker)) {
            return;
        }
        if wakers.len() == wakers.capacity() {
            let mut seen = HashSet::new();
            wakers.retain(|kept| !kept.mark().is_known() || seen.insert(kept.mark()));
            wakers.reserve(wakers.len().max(4));
        }
        wakers.push(Kept::new(waker));
    }
}

/// A value that one at a time has in hand.
pub(crate) struct Lock<S> {
    /// `None` while the lock is held and nobody waits.
    word: AtomicCell<Option<Box<Slot<S>>>>,
    holder: Arc<Holder>,
}

impl<S> Lock<S> {
    pub(crate) fn new(value: S, holder: Arc<Holder>) -> Self {
        Self { word: AtomicCell::new(Some(Box::new(Slot::Value(value)))), holder }
    }

    /// The lock, if it is free.
    pub(crate) fn try_lock(&self) -> Result<Guard<'_, S>, Held> {
        match self.word.take() {
            Some(slot) if slot.is_value() => Ok(self.hold(slot)),
            other => self.miss(other),
        }
    }

    /// The lock, or a wake when it is free.
    pub(crate) fn poll_lock(&self, cx: &mut Context<'_>) -> Poll<Result<Guard<'_, S>, Held>> {
        match self.word.take() {
            Some(slot) if slot.is_value() => Poll::Ready(Ok(self.hold(slot))),
            other => self.wait(cx, other),
        }
    }

    /// Hands the value to `f`, or wakes when that can be.
    ///
    /// As [`poll_lock`](Self::poll_lock), less a guard that is handed on: to copy what was written
    /// just before stalls a processor for as long as locking does.
    #[inline]
    pub(crate) fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut S) -> R,
    ) -> Poll<Result<R, Held>> {
        match self.word.take() {
            Some(slot) if slot.is_value() => Poll::Ready(Ok(f(&mut self.hold(slot)))),
            other => match self.wait(cx, other) {
                Poll::Ready(Ok(mut guard)) => Poll::Ready(Ok(f(&mut guard))),
                Poll::Ready(Err(held)) => Poll::Ready(Err(held)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    #[allow(clippy::inline_always, reason = "it is made where it is used, and never copied")]
    #[inline(always)]
    fn hold(&self, slot: Box<Slot<S>>) -> Guard<'_, S> {
        self.holder.thread.store(thread_mark(), Ordering::Relaxed);
        Guard { slot: Some(slot), lock: self, _not_send: PhantomData }
    }

    /// Puts back what was found instead of the value.
    #[cold]
    fn miss(&self, found: Option<Box<Slot<S>>>) -> Result<Guard<'_, S>, Held> {
        let guard = found.and_then(|waiting| self.leave(waiting));
        guard.ok_or_else(|| self.holder.ask())
    }

    /// Adds to what was found instead of the value that somebody waits.
    #[cold]
    fn wait(
        &self,
        cx: &mut Context<'_>,
        found: Option<Box<Slot<S>>>,
    ) -> Poll<Result<Guard<'_, S>, Held>> {
        let held = self.holder.ask();
        let mut waiting = found;
        if held == Held::Elsewhere {
            let none = || Box::new(Slot::Waiting(Waiting::default()));
            waiting.get_or_insert_with(none).add(cx.waker());
        }
        match waiting.and_then(|waiting| self.leave(waiting)) {
            Some(guard) => Poll::Ready(Ok(guard)),
            None if held == Held::Within => Poll::Ready(Err(held)),
            None => {
                if self.holder.is_this_thread() {
                    // The lock is free when the import has parked. Asking again at once finds out
                    // an executor that blocks inside the import.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// Leaves word of those who wait. If the lock was given back meanwhile, it is ours.
    #[cold]
    fn leave(&self, waiting: Box<Slot<S>>) -> Option<Guard<'_, S>> {
        let slot = self.word.swap(Some(waiting))?;
        // If two left word at the same time, those who lost their place are woken, and ask again.
        slot.is_value().then(|| self.hold(slot))
    }
}

#[cold]
fn wake<S>(waiting: Box<Slot<S>>) {
    drop(waiting);
}

/// The value in hand; it is given back when this is dropped.
pub(crate) struct Guard<'a, S> {
    /// The value, until it is given back.
    slot: Option<Box<Slot<S>>>,
    lock: &'a Lock<S>,
    _not_send: PhantomData<*const ()>,
}

impl<S> Deref for Guard<'_, S> {
    type Target = S;
    #[inline]
    fn deref(&self) -> &S {
        match self.slot.as_deref() {
            Some(Slot::Value(value)) => value,
            _ => unreachable!("a guard has the value in hand"),
        }
    }
}

impl<S> DerefMut for Guard<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        match self.slot.as_deref_mut() {
            Some(Slot::Value(value)) => value,
            _ => unreachable!("a guard has the value in hand"),
        }
    }
}

impl<S> Drop for Guard<'_, S> {
    #[inline]
    fn drop(&mut self) {
        let Lock { word, holder } = self.lock;
        holder.thread.store(0, Ordering::Relaxed);
        if let Some(waiting) = word.swap(self.slot.take()) {
            wake(waiting);
        }
    }
}
