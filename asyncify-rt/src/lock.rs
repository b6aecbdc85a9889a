//! The lock around a guest: held within one synchronous poll, never across an await.
//!
//! Unlocking wakes everybody who waits and hands the lock to nobody: a waiter that is no longer
//! polled (`select!` on `&mut call`) then holds up no one. The guard is not `Send`, so a future
//! that kept it across an await would not be `Send` either.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

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

#[derive(Debug)]
pub(crate) struct Lock<S> {
    value: Mutex<S>,
    holder: Arc<Holder>,
    waiters: Waiters,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Whether `wakers` may hold anything.
    any: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl<S> Lock<S> {
    pub(crate) fn new(value: S, holder: Arc<Holder>) -> Self {
        Self { value: Mutex::new(value), holder, waiters: Waiters::default() }
    }

    /// The lock, if it is free.
    #[allow(clippy::inline_always, reason = "a guard that is handed on is copied at each hand")]
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Result<Guard<'_, S>, Held> {
        let value = match self.value.try_lock() {
            Ok(value) => value,
            // A panic in a host function was dealt with where it passed the guest.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(self.holder.ask()),
        };
        self.holder.thread.store(thread_mark(), Ordering::Relaxed);
        Ok(Guard { value, lock: Unlocked(self) })
    }

    /// Runs `f` under the lock, if it is free; else gives `f` back.
    ///
    /// As [`try_lock`](Self::try_lock), less a guard that is handed on: that is copied at each
    /// hand, right after it was written, which stalls a processor longer than locking does.
    #[inline]
    pub(crate) fn try_with<R, F: FnOnce(&mut S) -> R>(&self, f: F) -> Result<R, (Held, F)> {
        // Dropped last, after the value's guard.
        let _wake;
        let mut taken = self.value.try_lock();
        let value = match &mut taken {
            Ok(value) => &mut **value,
            Err(TryLockError::Poisoned(poisoned)) => &mut **poisoned.get_mut(),
            Err(TryLockError::WouldBlock) => return Err((self.holder.ask(), f)),
        };
        self.holder.thread.store(thread_mark(), Ordering::Relaxed);
        _wake = Unlocked(self);
        let _holding = Holding(&self.holder);
        Ok(f(value))
    }

    /// Runs `f` under the lock, or wakes when it is free.
    #[inline]
    pub(crate) fn poll_with<R, F>(&self, cx: &mut Context<'_>, f: F) -> Poll<Result<R, Held>>
    where
        F: FnOnce(&mut S) -> R,
    {
        match self.try_with(f) {
            Ok(output) => Poll::Ready(Ok(output)),
            Err((Held::Within, _)) => Poll::Ready(Err(Held::Within)),
            Err((Held::Elsewhere, f)) => match self.wait(cx) {
                Poll::Ready(Ok(mut guard)) => Poll::Ready(Ok(f(&mut guard))),
                Poll::Ready(Err(held)) => Poll::Ready(Err(held)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// The lock, or a wake when it is free.
    #[allow(clippy::inline_always, reason = "a guard that is handed on is copied at each hand")]
    #[inline(always)]
    pub(crate) fn poll_lock(&self, cx: &mut Context<'_>) -> Poll<Result<Guard<'_, S>, Held>> {
        match self.try_lock() {
            Err(Held::Elsewhere) => self.wait(cx),
            taken => Poll::Ready(taken),
        }
    }

    #[cold]
    fn wait(&self, cx: &mut Context<'_>) -> Poll<Result<Guard<'_, S>, Held>> {
        self.waiters.push(cx.waker());
        if self.holder.is_this_thread() {
            // The lock is free when the import has parked. Asking again at once finds out an
            // executor that blocks inside the import.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.try_lock() {
            Ok(guard) => Poll::Ready(Ok(guard)),
            Err(_) => Poll::Pending,
        }
    }
}

impl Waiters {
    fn push(&self, waker: &Waker) {
        {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if !wakers.last().is_some_and(|last| last.will_wake(waker)) {
                wakers.push(waker.clone());
            }
        }
        // Pairs with the swap in `Unlocked`. If that comes later it sees us; if it comes first, what
        // was before it, the unlocking, is seen by our next try. A fence on both sides would say
        // the same and cost the holder twice as much.
        self.any.swap(true, Ordering::AcqRel);
    }
}

/// The lock, until it is dropped. Fields are dropped in their order: unlock, then wake.
pub(crate) struct Guard<'a, S> {
    value: MutexGuard<'a, S>,
    lock: Unlocked<'a, S>,
}

impl<S> Drop for Guard<'_, S> {
    #[inline]
    fn drop(&mut self) {
        drop(Holding(&self.lock.0.holder));
    }
}

/// Says that nobody holds the lock, when it is dropped.
struct Holding<'a>(&'a Holder);

impl Drop for Holding<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.thread.store(0, Ordering::Relaxed);
        self.0.asks.store(0, Ordering::Relaxed);
    }
}

impl<S> Deref for Guard<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.value
    }
}

impl<S> DerefMut for Guard<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.value
    }
}

/// Wakes who waits, when it is dropped: after the value's guard.
struct Unlocked<'a, S>(&'a Lock<S>);

impl<S> Drop for Unlocked<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if self.0.waiters.any.swap(false, Ordering::AcqRel) {
            self.0.waiters.wake();
        }
    }
}

impl Waiters {
    #[cold]
    fn wake(&self) {
        let wakers = {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::Wake;
    use std::thread;

    use super::*;

    fn lock<S>(value: S) -> Lock<S> {
        Lock::new(value, Arc::default())
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls for the lock on another thread, which then forgets about it.
    fn ask_elsewhere<S: Send>(lock: &Lock<S>) -> (bool, Arc<Wakes>) {
        let count = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&count));
        let ask = || lock.poll_lock(&mut Context::from_waker(&waker)).is_ready();
        let got = thread::scope(|scope| scope.spawn(ask).join().unwrap());
        (got, count)
    }

    #[test]
    fn no_wake_is_lost_between_threads() {
        const THREADS: u32 = 8;
        const TURNS: u32 = 5_000;
        let lock = lock(0_u32);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    futures::executor::block_on(async {
                        for turn in 0..TURNS {
                            // The guard is not kept across an await: it would not be `Send`.
                            poll_fn(|cx| lock.poll_lock(cx).map(|guard| *guard.unwrap() += 1))
                                .await;
                            if turn % 64 == 0 {
                                thread::yield_now();
                            }
                        }
                    });
                });
            }
        });
        assert_eq!(*lock.try_lock().unwrap(), THREADS * TURNS);
    }

    #[test]
    fn all_who_wait_are_woken_and_none_of_them_holds_up_another() {
        let lock = lock(());
        let guard = lock.try_lock().unwrap();
        let waiting: Vec<_> = (0..3).map(|_| ask_elsewhere(&lock)).collect();
        assert!(waiting.iter().all(|(got, count)| !got && count.0.load(Ordering::SeqCst) == 0));
        drop(guard);
        assert!(waiting.iter().all(|(_, count)| count.0.load(Ordering::SeqCst) == 1));
        // None of the three asks again, and a fourth has it at once.
        assert!(ask_elsewhere(&lock).0);
        assert!(lock.try_lock().is_ok());
    }

    #[test]
    fn a_holder_who_asks_again_is_told() {
        let lock = lock(());
        let guard = lock.try_lock().unwrap();
        assert_eq!(lock.try_lock().err(), Some(Held::Within));
        let asked = lock.poll_lock(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(asked, Poll::Ready(Err(Held::Within))));
        let elsewhere =
            thread::scope(|scope| scope.spawn(|| lock.try_lock().err()).join().unwrap());
        assert_eq!(elsewhere, Some(Held::Elsewhere));
        drop(guard);
        assert!(lock.try_lock().is_ok());
    }

    #[test]
    fn a_future_that_is_polled_by_the_holder_waits_until_it_asks_for_ever() {
        let lock = lock(());
        for _ in 0..2 {
            let guard = lock.try_lock().unwrap();
            lock.holder.set_polling(true);
            let count = Arc::new(Wakes::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut asks = 0;
            while lock.poll_lock(&mut Context::from_waker(&waker)).is_pending() {
                asks += 1;
                assert_eq!(count.0.load(Ordering::SeqCst), asks, "it asks again at once");
            }
            assert_eq!(asks, ASKS_WITHIN_IMPORT as usize);
            lock.holder.set_polling(false);
            drop(guard);
            assert!(count.0.load(Ordering::SeqCst) > asks);
        }
    }

    #[test]
    fn a_panic_under_the_lock_frees_it_and_count() {
        let lock = lock(7);
        let mut asked = None;
        let panics = || {
            let _guard = lock.try_lock().unwrap();
            asked = Some(ask_elsewhere(&lock));
            panic!("on purpose");
        };
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        let (got, count) = asked.unwrap();
        assert_eq!((got, count.0.load(Ordering::SeqCst)), (false, 1));
        assert_eq!(*lock.try_lock().unwrap(), 7);
    }
}
