use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant};

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
                        poll_fn(|cx| lock.poll_lock(cx).map(|guard| *guard.unwrap() += 1)).await;
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

/// Wakes a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The lock, for as long as that takes unless a wake is lost.
fn wait_for<S>(lock: &Lock<S>) -> Guard<'_, S> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(guard) = lock.poll_lock(&mut Context::from_waker(&waker)) {
            return guard.unwrap();
        }
        let start = Instant::now();
        thread::park_timeout(Duration::from_mins(1));
        assert!(start.elapsed() < Duration::from_mins(1), "a wake was lost");
    }
}

/// Some who ask find the wakers of others, and put them back while the lock is given back, or
/// while somebody else puts back others.
#[test]
fn nobody_is_forgotten_where_some_wait_and_some_only_try() {
    const TURNS: u32 = 4_000;
    let lock = lock(0_u32);
    let (lock, tried) = (&lock, AtomicU32::new(0));
    let turn = |mut guard: Guard<'_, u32>, turn: u32| {
        let before = *guard;
        if turn.is_multiple_of(4) {
            thread::yield_now();
        }
        *guard = before + 1;
    };
    thread::scope(|scope| {
        let waiting = [0; 4]
            .map(|_| scope.spawn(|| (0..TURNS).for_each(|number| turn(wait_for(lock), number))));
        let trying = [0; 4].map(|_| {
            scope.spawn(|| {
                for number in 0..TURNS {
                    if let Ok(guard) = lock.try_lock() {
                        turn(guard, number);
                        tried.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        waiting.into_iter().chain(trying).for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(*lock.try_lock().unwrap(), 4 * TURNS + tried.into_inner());
}

/// What [`Lock::leave`] finds, one after the other; with threads it is a matter of luck.
#[test]
fn who_puts_back_the_wakers_of_others_may_find_the_lock_free_or_others() {
    let lock = lock(());
    let guard = lock.try_lock().unwrap();
    let (_, first) = ask_elsewhere(&lock);
    let found = lock.word.take().unwrap();
    let (_, second) = ask_elsewhere(&lock);
    assert!(lock.leave(found).is_none());
    // Who was displaced is woken at once, and the other one when the lock is free.
    assert_eq!([&first, &second].map(|wakes| wakes.0.load(Ordering::SeqCst)), [0, 1]);
    let found = lock.word.take().unwrap();
    drop(guard);
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
    let guard = lock.leave(found).unwrap();
    assert_eq!(lock.try_lock().err(), Some(Held::Within));
    drop(guard);
    assert_eq!(first.0.load(Ordering::SeqCst), 1);
    assert!(lock.try_lock().is_ok());
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
fn who_asks_again_and_again_is_remembered_once() {
    let lock = lock(());
    let guard = lock.try_lock().unwrap();
    let counts: [_; 20] = std::array::from_fn(|_| Arc::new(Wakes::default()));
    let wakers = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    thread::scope(|scope| {
        scope.spawn(|| {
            for waker in wakers.iter().cycle().take(10_000) {
                assert!(lock.poll_lock(&mut Context::from_waker(waker)).is_pending());
            }
        });
    });
    let waiting = lock.word.take().unwrap();
    assert!(matches!(&*waiting, Slot::Waiting(Waiting(wakers)) if wakers.capacity() <= 64));
    assert!(lock.leave(waiting).is_none());
    drop(guard);
    assert!(counts.iter().all(|count| count.0.load(Ordering::SeqCst) >= 1));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

#[test]
fn who_panics_when_woken_keeps_nobody_from_being_woken() {
    let lock = lock(());
    let guard = lock.try_lock().unwrap();
    let panics = Waker::from(Arc::new(Panics));
    let ask = || lock.poll_lock(&mut Context::from_waker(&panics)).is_pending();
    assert!(thread::scope(|scope| scope.spawn(ask).join().unwrap()));
    let (got, count) = ask_elsewhere(&lock);
    drop(guard);
    assert_eq!((got, count.0.load(Ordering::SeqCst)), (false, 1));
}

#[test]
fn a_holder_who_asks_again_is_told() {
    let lock = lock(());
    let guard = lock.try_lock().unwrap();
    assert_eq!(lock.try_lock().err(), Some(Held::Within));
    let asked = lock.poll_lock(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(asked, Poll::Ready(Err(Held::Within))));
    let elsewhere = thread::scope(|scope| scope.spawn(|| lock.try_lock().err()).join().unwrap());
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
