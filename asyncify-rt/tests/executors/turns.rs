//! Calls that take turns whole, on several executors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncify_rt::{AsyncImports, Guest, StackPolicy};
use futures::future::{FutureExt, join_all};
use tokio::runtime::Builder;
use wasmtime::{Engine, Val, ValType};

use crate::common::{answer, example, import, yield_now};
use crate::{CALLS, expected, sum};

/// `stack.wasm`, whose waits are told in the order they are asked for.
fn guest(yields: u32) -> (Guest, Arc<Mutex<Vec<u32>>>) {
    let engine = Engine::default();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut imports = AsyncImports::new();
    let told = Arc::clone(&asked);
    import(&mut imports, &engine, "wait", &[ValType::I32], &[ValType::I32], move |params| {
        let tag = params[0].unwrap_i32();
        told.lock().unwrap().push(tag.cast_unsigned());
        async move {
            for _ in 0..yields {
                yield_now().await;
            }
            Ok(vec![Val::I32(answer(tag))])
        }
    });
    let builder = Guest::builder(&example(&engine, "stack.wasm")).async_imports(imports);
    let guest = builder.stack_policy(StackPolicy::Exclusive).instantiate();
    (futures::executor::block_on(guest).unwrap(), asked)
}

/// What `sum` asks for, call by call.
fn in_order(asked: &Mutex<Vec<u32>>) {
    let (guest, alone) = guest(0);
    for seed in 0..CALLS {
        futures::executor::block_on(sum(&guest, seed)).unwrap();
    }
    assert_eq!(*asked.lock().unwrap(), *alone.lock().unwrap());
}

fn one_at_a_time(guest: &Guest) {
    let stats = guest.try_stats().unwrap();
    assert_eq!((stats.most_parked_calls, stats.parked_calls), (1, 0));
}

#[test]
fn joined_calls_go_by_who_came_first() {
    let (guest, asked) = guest(3);
    let calls = (0..CALLS).map(|seed| sum(&guest, seed));
    let sums = futures::executor::block_on(join_all(calls));
    for (seed, sum) in (0..).zip(sums) {
        assert_eq!(sum.unwrap().0, expected(&guest, seed));
    }
    in_order(&asked);
    one_at_a_time(&guest);
}

#[test]
fn tasks_go_by_who_came_first() {
    let (guest, asked) = guest(3);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLS).map(|seed| tokio::spawn(sum(&guest, seed))).collect();
        for (seed, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap().unwrap().0, expected(&guest, seed));
        }
    });
    in_order(&asked);
    one_at_a_time(&guest);
}

/// On several threads nobody can say who came first, but each call has its turn.
#[test]
fn tasks_on_threads_each_have_a_turn() {
    let (guest, _) = guest(3);
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4 * CALLS)
            .map(|seed| {
                let call = sum(&guest, seed);
                tokio::spawn(async move {
                    // Some are given up while they wait, or while they are parked.
                    match seed % 5 {
                        0 => tokio::time::timeout(Duration::from_micros(50), call).await.ok(),
                        1 => call.now_or_never(),
                        _ => Some(call.await),
                    }
                })
            })
            .collect();
        let sums = join_all(tasks).await;
        for (seed, sum) in (0..).zip(sums) {
            match sum.unwrap() {
                Some(sum) => assert_eq!(sum.unwrap().0, expected(&guest, seed)),
                None => assert!(seed % 5 < 2),
            }
        }
    });
    one_at_a_time(&guest);
}
