//! The same calls on several executors, and calls that are cancelled at each stage.

mod blocking;
#[path = "../common/mod.rs"]
mod common;
mod pool;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use asyncify_rt::{Call, Error, Guest, Place, Stats, WeakGuest};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::runtime::Builder;
use wasmtime::{Engine, Val};

use common::{
    Desk, answer, block_on, call, ends, example, instantiate, park, poll, ran, yield_now,
    yielding_wait,
};

/// `stack.wasm`, in which `recurse(x, x)` is the call that waits, and `expected_recurse` is told.
fn guest(yields: u32) -> Guest {
    let engine = Engine::default();
    instantiate(&example(&engine, "stack.wasm"), yielding_wait(&engine, yields))
}

fn sum(guest: &Guest, seed: u32) -> Call<(u32,)> {
    guest.all_exports().typed::<(u32, u32), (u32,)>("sum").unwrap().call((seed, 3))
}

fn expected(guest: &Guest, seed: u32) -> u32 {
    let plain = |cx: &mut asyncify_rt::GuestCx<'_, ()>| {
        cx.call::<(u32, u32), u32>("expected", (seed, 3)).unwrap()
    };
    guest.try_with(plain).unwrap()
}

const CALLS: u32 = 50;

fn sent<T: Send>(value: T) -> T {
    value
}

#[test]
fn handles_calls_and_functions_go_where_threads_do() {
    fn is_send_and_static<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    is_send_and_static::<Call<(u32,)>>();
    is_send_and_static::<Call<Vec<Val>>>();
    is_shared::<Guest>();
    is_shared::<WeakGuest>();
    is_shared::<asyncify_rt::AsyncFunction>();
    is_shared::<asyncify_rt::TypedAsyncFunction<(u32,), (u32,)>>();
    is_shared::<asyncify_rt::Module>();
    is_shared::<Error>();
    let guest = guest(1);
    drop(sent(guest.with(|_| ())));
    drop(sent(Guest::builder(&example(&Engine::default(), "yielding.wasm")).instantiate()));
}

#[test]
fn calls_are_joined_on_futures_executor() {
    let guest = guest(2);
    let calls = (0..CALLS).map(|seed| sum(&guest, seed));
    let sums = futures::executor::block_on(futures::future::join_all(calls));
    for (seed, sum) in (0..).zip(sums) {
        assert_eq!(sum.unwrap().0, expected(&guest, seed));
    }
}

#[test]
fn calls_are_polled_in_any_order_on_futures_executor() {
    let guest = guest(3);
    let mut calls: FuturesUnordered<_> = (0..CALLS)
        .map(|seed| {
            let sum = sum(&guest, seed);
            async move { (seed, sum.await.unwrap().0) }
        })
        .collect();
    let mut ended = 0;
    while let Some((seed, sum)) = futures::executor::block_on(calls.next()) {
        assert_eq!(sum, expected(&guest, seed));
        ended += 1;
    }
    assert_eq!(ended, CALLS);
}

#[test]
fn calls_are_spawned_on_tokios_current_thread() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let guest = guest(2);
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..CALLS).map(|seed| (seed, tokio::spawn(sum(&guest, seed)))).collect();
        for (seed, task) in tasks {
            assert_eq!(task.await.unwrap().unwrap().0, expected(&guest, seed));
        }
    });
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

#[test]
fn calls_are_spawned_on_tokios_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for yields in [0, 1, 5] {
        let guest = guest(yields);
        let expected: Vec<_> = (0..CALLS).map(|seed| expected(&guest, seed)).collect();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..CALLS).map(|seed| tokio::spawn(sum(&guest, seed))).collect();
            // Plain work of the guest in between.
            for _ in 0..20 {
                let with = guest.with(|cx| cx.call::<(u32, u32), u32>("expected", (1, 3)));
                assert_eq!(with.await.unwrap().unwrap(), expected[1]);
            }
            for (task, expected) in tasks.into_iter().zip(expected) {
                assert_eq!(task.await.unwrap().unwrap().0, expected);
            }
        });
        let stats = guest.try_stats().unwrap();
        assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    }
}

#[test]
fn tasks_of_many_threads_wait_for_tokios_clock() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let engine = Engine::default();
    let mut imports = asyncify_rt::AsyncImports::new();
    let i32 = [wasmtime::ValType::I32];
    common::import(&mut imports, &engine, "wait", &i32, &i32, |params| {
        let tag = params[0].unwrap_i32();
        async move {
            let nap = u64::try_from(tag % 3).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(nap)).await;
            Ok(vec![Val::I32(answer(tag))])
        }
    });
    let guest = instantiate(&example(&engine, "stack.wasm"), imports);
    let expected: Vec<_> = (0..CALLS).map(|seed| expected(&guest, seed)).collect();
    let sums = runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLS).map(|seed| tokio::spawn(sum(&guest, seed))).collect();
        futures::future::join_all(tasks).await
    });
    for (sum, expected) in sums.into_iter().zip(expected) {
        assert_eq!(sum.unwrap().unwrap().0, expected);
    }
}

#[test]
fn a_guest_that_yields_in_a_loop_starves_nobody() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let engine = Engine::default();
    let mut imports = asyncify_rt::AsyncImports::new();
    let yields = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&yields);
    common::import(&mut imports, &engine, "yield_now", &[], &[], move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok(vec![])
        }
    });
    common::import(&mut imports, &engine, "pause", &[], &[wasmtime::ValType::I32], |_| async {
        Ok(vec![Val::I32(0)])
    });
    let guest = instantiate(&example(&engine, "yielding.wasm"), imports);
    runtime.block_on(async {
        let spin = tokio::spawn(call(&guest, "spin", 1_000));
        let done = Arc::new(AtomicBool::new(false));
        let other = {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                done.store(true, Ordering::SeqCst);
            })
        };
        other.await.unwrap();
        assert!(!spin.is_finished(), "the other task took turns with the guest");
        assert!(yields.load(Ordering::SeqCst) < 1_000);
        assert!(done.load(Ordering::SeqCst));
        assert_eq!(spin.await.unwrap().unwrap(), (1_000,));
    });
}

/// What a guest holds.
fn held(stats: Stats) -> (usize, u64, usize) {
    (stats.parked_calls, stats.parked_bytes, stats.regions)
}

/// `stack.wasm`, answered by hand, with its regions made: nothing of it is to change.
fn asked() -> (Desk, Guest, Stats) {
    let desk = Desk::new();
    let engine = Engine::default();
    let builder = Guest::builder(&example(&engine, "stack.wasm"));
    let builder = builder.async_imports(desk.imports(&engine)).place(Place::Grow);
    let guest = block_on(builder.instantiate()).unwrap();
    let mut calls = [call(&guest, "enqueue_and_wait", 1), call(&guest, "enqueue_and_wait", 2)];
    calls.iter_mut().for_each(park);
    for (call, tag) in calls.iter_mut().zip([1, 2]) {
        desk.answer(tag);
        assert_eq!(ends(call), (tag * 31 + answer(tag),));
    }
    let stats = guest.try_stats().unwrap();
    (desk, guest, stats)
}

fn recurse(guest: &Guest, tag: u32) -> Call<(u32,)> {
    guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap().call((9, tag))
}

/// The address of the next frame on the guest's stack tells where its pointer is.
fn pointer(guest: &Guest) -> Option<Val> {
    let name = |cx: &mut asyncify_rt::GuestCx<'_, ()>| {
        let pointer = cx.export("__stack_pointer")?.into_global()?;
        Some(pointer.get(cx.store().ok()?))
    };
    guest.try_with(name).unwrap()
}

fn val(val: Option<Val>) -> i32 {
    val.unwrap().unwrap_i32()
}

#[test]
fn a_call_that_is_dropped_at_any_stage_leaves_the_guest_as_it_was() {
    let (desk, guest, before) = asked();
    let at = val(pointer(&guest));

    drop(recurse(&guest, 10));

    let mut waiting = recurse(&guest, 11);
    park(&mut waiting);
    drop(waiting);
    assert_eq!(desk.dropped(), 1, "the import's future goes at once");

    let mut answered = recurse(&guest, 12);
    park(&mut answered);
    desk.answer(12);
    drop(answered);

    // Its import has answered, and it waits for the guest to go on.
    let mut ready = recurse(&guest, 16);
    park(&mut ready);
    desk.answer(16);
    let polled_elsewhere = guest.try_with(|_| {
        std::thread::scope(|scope| scope.spawn(|| poll(&mut ready).is_pending()).join().unwrap())
    });
    assert!(polled_elsewhere.unwrap());
    assert_eq!(format!("{ready:?}"), r#"Call { stage: "to be resumed", .. }"#);
    drop(ready);

    let mut cancelled = recurse(&guest, 13);
    park(&mut cancelled);
    cancelled.cancel(&[Val::I32(0)]).unwrap();
    drop(cancelled);

    // One on the main stack and one in a region, in both orders.
    for first in [0, 1] {
        let mut pair = [recurse(&guest, 14), recurse(&guest, 15)].map(Some);
        pair.iter_mut().flatten().for_each(park);
        pair[first] = None;
        assert_eq!(guest.try_stats().unwrap().parked_calls, 1);
    }

    assert_eq!(held(guest.try_stats().unwrap()), held(before));
    assert_eq!(val(pointer(&guest)), at);
    let mut after = call(&guest, "enqueue_and_wait", 20);
    park(&mut after);
    desk.answer(20);
    assert_eq!(ends(&mut after), (20 * 31 + answer(20),));
}

#[test]
fn a_timeout_cancels_a_call() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let (desk, guest, before) = asked();
    let at = val(pointer(&guest));
    runtime.block_on(async {
        let late = tokio::time::timeout(Duration::from_millis(1), recurse(&guest, 10)).await;
        assert!(late.is_err());
        assert_eq!(desk.dropped(), 1);
        desk.answer(11);
        let early = tokio::time::timeout(Duration::from_hours(1), recurse(&guest, 11)).await;
        assert!(early.unwrap().is_ok());
    });
    assert_eq!(held(guest.try_stats().unwrap()), held(before));
    assert_eq!(val(pointer(&guest)), at);
}

#[test]
fn select_cancels_the_loser_or_keeps_it() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (desk, guest, before) = asked();
    runtime.block_on(async {
        desk.answer(10);
        tokio::select! {
            biased;
            _ = recurse(&guest, 11) => panic!("nobody answered it"),
            won = recurse(&guest, 10) => assert!(won.is_ok()),
        }
        assert_eq!(desk.dropped(), 1);
        // By reference, the loser goes on.
        let mut kept = call(&guest, "enqueue_and_wait", 12);
        tokio::select! {
            biased;
            _ = &mut kept => panic!("nobody answered it"),
            () = yield_now() => {}
        }
        desk.answer(12);
        assert_eq!(kept.await.unwrap(), (12 * 31 + answer(12),));
    });
    assert_eq!(held(guest.try_stats().unwrap()), held(before));
}

/// A call that waits for the guest and is polled no more holds up nobody.
#[test]
fn a_queued_call_that_is_polled_no_more_blocks_nobody() {
    let runtime = Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let guest = guest(1);
    let expected = expected(&guest, 7);
    runtime.block_on(async {
        let abandoned: Vec<_> = (0..50)
            .map(|_| {
                let mut queued = sum(&guest, 7);
                tokio::spawn(async move {
                    // Polled once, while others run, and then kept.
                    let _ = poll(&mut queued);
                    Some(queued)
                })
            })
            .collect();
        let tasks: Vec<_> = (0..50).map(|_| tokio::spawn(sum(&guest, 7))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().0, expected);
        }
        for queued in abandoned {
            assert_eq!(queued.await.unwrap().unwrap().await.unwrap().0, expected);
        }
    });
}

#[test]
fn a_task_that_is_aborted_leaves_the_guest_usable() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let desk = Desk::new();
    let guest = common::guest_with(&desk, "");
    runtime.block_on(async {
        for x in 0..20 {
            let task = tokio::spawn(call(&guest, "run", x));
            while desk.asked().last() != Some(&x) {
                tokio::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert_eq!(desk.dropped(), 20);
        desk.answer(100);
        assert_eq!(call(&guest, "run", 100).await.unwrap(), (ran(100),));
        assert_eq!(guest.stats().await.unwrap().parked_calls, 0);
    });
}
