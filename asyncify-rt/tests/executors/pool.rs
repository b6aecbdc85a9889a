//! A pool of guests, on several executors.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use asyncify_rt::{Error, Guest, Guests, Module, PooledGuest};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::join_all;
use tokio::runtime::Builder;
use wasmtime::Engine;

use crate::common::{
    RUN, WAIT, Wakes, call, module, poll, poll_with, ran, yield_now, yielding_wait,
};

/// How many guests there are, and the most there were.
#[derive(Clone, Default)]
struct Alive(Arc<(AtomicUsize, AtomicUsize)>);

/// In each guest's store.
struct One(Alive);

impl Alive {
    fn new_one(&self) -> One {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        One(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn small() -> Module {
    let text = r#"(module (memory 1) (func (export "fail") unreachable)
        (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))"#;
    Module::new(&Engine::default(), text).unwrap()
}

fn pool(most: usize, holders: usize) -> (Guests<One>, Alive) {
    let (module, alive) = (small(), Alive::default());
    let count = alive.clone();
    let make = move || Guest::builder_with(&module, count.new_one()).instantiate();
    (Guests::shared(most, holders, make), alive)
}

fn fail(guest: &Guest<One>) {
    let fail = guest.all_exports().typed::<(), ()>("fail").unwrap();
    assert!(block_on(fail.call(())).is_err());
}

fn double(guest: &Guest<One>) {
    let double = guest.all_exports().typed::<(i32,), (i32,)>("double").unwrap();
    assert_eq!(block_on(double.call((4,))).unwrap(), (8,));
}

/// Which guest it is: the address of what its store holds.
fn which(guest: &Guest<One>) -> usize {
    guest.try_with(|cx| std::ptr::from_ref(cx.data()).addr()).unwrap()
}

#[test]
fn guests_are_made_when_they_are_needed_and_used_again() {
    let (guests, alive) = pool(3, 1);
    assert_eq!(alive.now(), 0);
    for _ in 0..5 {
        double(&block_on(guests.get()).unwrap());
    }
    assert_eq!(alive.most(), 1);
    let two = block_on(join_all([guests.get(), guests.get()]));
    assert_eq!(alive.now(), 2);
    assert_eq!(format!("{guests:?}"), "Guests { guests: 2, holders: 2, .. }");
    drop(two);
    assert_eq!(format!("{guests:?}"), "Guests { guests: 2, holders: 0, .. }");
    // A handle outlives the pool.
    let guest = block_on(guests.get()).unwrap();
    drop(guests);
    double(&guest);
    drop(guest);
    assert_eq!(alive.now(), 0);
}

#[test]
fn those_who_wait_are_served_in_order() {
    let (guests, _) = pool(1, 1);
    let first = block_on(guests.get()).unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| guests.get().boxed()).collect();
    let (counts, wakers): (Vec<_>, Vec<_>) = (0..4).map(|_| Wakes::new()).unzip();
    for (get, waker) in waiting.iter_mut().zip(&wakers) {
        assert!(poll_with(get, waker).is_pending());
    }
    assert!(counts.iter().all(|count| count.count() == 0));
    drop(first);
    assert!(counts.iter().all(|count| count.count() > 0));
    // It is the first one's turn, whoever asks.
    for other in [3, 1, 2] {
        assert!(poll(&mut waiting[other]).is_pending());
    }
    let guest = block_on(waiting.remove(0)).unwrap();
    // The second one waits no more.
    drop(waiting.remove(0));
    drop(guest);
    assert!(poll(&mut waiting[1]).is_pending());
    let guest = block_on(waiting.remove(0)).unwrap();
    assert!(poll(&mut waiting[0]).is_pending());
    drop(guest);
    block_on(waiting.remove(0)).unwrap();
}

#[test]
fn one_that_does_not_come_holds_up_nobody() {
    let (guests, _) = pool(1, 1);
    let first = block_on(guests.get()).unwrap();
    let mut kept = [guests.get().boxed(), guests.get().boxed()];
    for get in &mut kept {
        assert!(poll(get).is_pending());
    }
    let mut other = guests.get().boxed();
    assert!(poll(&mut other).is_pending());
    drop(first);
    // Nobody polls the first two.
    let guest = block_on(other).unwrap();
    let mut last = guests.get().boxed();
    assert!(poll(&mut last).is_pending());
    for get in &mut kept {
        assert!(poll(get).is_pending());
    }
    drop(guest);
    // They have their places still.
    assert!(poll(&mut last).is_pending());
    assert!(poll(&mut kept[1]).is_pending());
    assert!(poll(&mut kept[0]).is_ready());
}

#[test]
fn a_poisoned_guest_is_replaced() {
    let (guests, alive) = pool(1, 1);
    for _ in 0..3 {
        let guest = block_on(guests.get()).unwrap();
        double(&guest);
        fail(&guest);
    }
    let guest = block_on(guests.get()).unwrap();
    double(&guest);
    // A guest that is opened again is as good as any.
    fail(&guest);
    block_on(guest.clear_poison()).unwrap();
    let same = which(&guest);
    drop(guest);
    assert_eq!(which(&block_on(guests.get()).unwrap()), same);
    assert_eq!((alive.now(), alive.most()), (1, 1));
}

#[test]
fn a_shared_guest_that_is_poisoned_counts_until_all_have_given_it_back() {
    let (guests, alive) = pool(1, 3);
    let holders = block_on(join_all([guests.get(), guests.get()]));
    let [first, second] = <[_; 2]>::try_from(holders).unwrap().map(Result::unwrap);
    assert_eq!(which(&first), which(&second));
    fail(&first);
    let mut third = guests.get().boxed();
    assert!(poll(&mut third).is_pending(), "not that one");
    drop(first);
    assert!(poll(&mut third).is_pending());
    drop(second);
    double(&block_on(third).unwrap());
    assert_eq!((alive.now(), alive.most()), (1, 1));
}

#[test]
fn shared_guests_are_used_evenly() {
    let (guests, alive) = pool(3, 4);
    let get = || block_on(guests.get()).unwrap();
    let all: Vec<_> = (0..12).map(|_| get()).collect();
    assert_eq!(alive.now(), 3);
    assert!(poll(&mut guests.get().boxed()).is_pending());
    for guest in &all {
        assert_eq!(all.iter().filter(|other| which(other) == which(guest)).count(), 4);
    }
    drop(all);
    let idle: Vec<_> = (0..3).map(|_| get()).collect();
    assert!(which(&idle[0]) != which(&idle[1]) && which(&idle[1]) != which(&idle[2]));
}

#[test]
fn a_retired_guest_is_replaced() {
    let (guests, alive) = pool(1, 2);
    let (first, second) = block_on(async { (guests.get().await, guests.get().await) });
    let before = which(second.as_ref().unwrap());
    first.unwrap().retire();
    let mut next = guests.get().boxed();
    assert!(poll(&mut next).is_pending());
    double(second.as_ref().unwrap());
    drop(second);
    let _other = block_on(next).unwrap();
    assert!(before != 0 && alive.now() == 1 && alive.most() == 1);
}

#[test]
fn what_making_a_guest_ends_with_is_told_and_tried_again() {
    let (module, fails) = (small(), Arc::new(AtomicBool::new(true)));
    let failing = Arc::clone(&fails);
    let guests = Guests::new(1, move || {
        let (builder, fails) = (Guest::builder(&module), failing.load(Ordering::SeqCst));
        async move {
            yield_now().await;
            let guest = builder.instantiate().await?;
            if fails { Err(Error::GuestGone) } else { Ok(guest) }
        }
    });
    // One makes it, another waits; the first is given up, the second makes it.
    let mut making = guests.get().boxed();
    assert!(poll(&mut making).is_pending());
    let mut waiting = guests.get().boxed();
    let (counted, waker) = Wakes::new();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    assert_eq!(counted.count(), 0);
    drop(making);
    assert_eq!(counted.count(), 1);
    assert!(matches!(block_on(waiting), Err(Error::GuestGone)));
    assert!(matches!(block_on(guests.get()), Err(Error::GuestGone)));
    fails.store(false, Ordering::SeqCst);
    block_on(guests.get()).unwrap();
}

/// A guest that a call was dropped in, which poisons it, is told when it is handed out.
#[test]
fn a_dropped_call_that_poisons_is_noticed() {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory (export \"memory\") 1) {RUN}"));
    let guests = Guests::new(1, move || {
        let imports = yielding_wait(&engine, 3);
        Guest::builder(&module).async_imports(imports).host_end_poisons().instantiate()
    });
    for x in 0..3 {
        let guest = block_on(guests.get()).unwrap();
        assert_eq!(block_on(call(&guest, "run", x)).unwrap(), (ran(x),));
        assert!(poll(&mut call(&guest, "run", x)).is_pending());
    }
}

#[test]
fn handles_go_where_threads_do() {
    fn is_shared<T: Send + Sync + 'static>() {}
    fn is_sent<T: Send>(_: &T) {}
    is_shared::<Guests<One>>();
    is_shared::<PooledGuest<One>>();
    let (guests, _) = pool(1, 1);
    is_sent(&guests.get());
}

#[test]
fn many_tasks_share_few_guests() {
    for threads in [1, 4] {
        for holders in [1, 3] {
            let (guests, alive) = pool(4, holders);
            let holding = Arc::new(Mutex::new((0_usize, 0_usize)));
            let runtime = Builder::new_multi_thread().worker_threads(threads).build().unwrap();
            runtime.block_on(async {
                let tasks: Vec<_> = (0..200_u32)
                    .map(|number| {
                        let (guests, holding) = (guests.clone(), Arc::clone(&holding));
                        tokio::spawn(async move {
                            if number % 7 == 0 {
                                // Given up while it waits, or while it makes one.
                                let mut get = pin!(guests.get());
                                let _ = futures::poll!(&mut get);
                                yield_now().await;
                                return;
                            }
                            let guest = guests.get().await.unwrap();
                            {
                                let mut holding = holding.lock().unwrap();
                                holding.0 += 1;
                                holding.1 = holding.1.max(holding.0);
                            }
                            let exports = guest.all_exports();
                            let ended = if number % 5 == 0 {
                                exports.typed::<(), ()>("fail").unwrap().call(()).await.map(|()| 0)
                            } else {
                                let double = exports.typed::<(u32,), (u32,)>("double").unwrap();
                                double.call((number,)).await.map(|(double,)| double)
                            };
                            yield_now().await;
                            match ended {
                                Ok(doubled) => assert_eq!(doubled, 2 * number),
                                Err(Error::Trap { .. }) => assert_eq!(number % 5, 0),
                                // Another that has the guest made it trap.
                                Err(Error::Poisoned { .. }) => assert!(holders > 1),
                                Err(other) => panic!("{other}"),
                            }
                            holding.lock().unwrap().0 -= 1;
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            assert!(alive.most() <= 4, "{}", alive.most());
            assert!(holding.lock().unwrap().1 <= 4 * holders);
            drop(guests);
            assert_eq!(alive.now(), 0);
        }
    }
}
