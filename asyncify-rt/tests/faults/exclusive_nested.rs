//! Calls within each other where calls take turns whole: their frames lie above each other on the
//! one stack.

use std::sync::{Arc, Mutex, OnceLock};

use asyncify_rt::{AsyncImports, Call, Error, Guest, ImportResult, Place, StackPolicy, WeakGuest};
use futures::future::join_all;
use wasmtime::{FuncType, Val, ValType};

use crate::collected::{COLLECTED, ENGINE, guest_of, pointer};
use crate::common::{
    Desk, WAIT, Wakes, block_on, call, ends, fails, import, module, park, poll_with, ran, yield_now,
};

/// `wait(x)` calls `holds` for each of what `children(x)` says, all at once, and answers their sum;
/// without any, 1 after a while.
fn calling(children: fn(i32) -> Vec<i32>) -> (AsyncImports<()>, Arc<OnceLock<WeakGuest>>) {
    let weak = Arc::new(OnceLock::<WeakGuest>::new());
    let mut imports = AsyncImports::new();
    let of = Arc::clone(&weak);
    import(&mut imports, &ENGINE, "wait", &[ValType::I32], &[ValType::I32], {
        move |params| {
            let (children, guest) = (children(params[0].unwrap_i32()), of.get().unwrap().upgrade());
            async move {
                let guest = guest?;
                if children.is_empty() {
                    yield_now().await;
                    return Ok(vec![Val::I32(1)]);
                }
                let calls = children.into_iter().map(|x| call(&guest, "holds", x));
                let answers = join_all(calls).await.into_iter();
                let answers = answers.collect::<Result<Vec<_>, _>>()?;
                Ok(vec![Val::I32(answers.into_iter().map(|(answer,)| answer).sum())])
            }
        }
    });
    (imports, weak)
}

#[test]
fn calls_that_an_import_makes_run_at_once() {
    /// What `holds(x)` returns.
    fn expected(x: i32, children: fn(i32) -> Vec<i32>) -> i32 {
        let sum = children(x).into_iter().map(|x| expected(x, children)).sum();
        x + if children(x).is_empty() { 1 } else { sum }
    }
    // One within another; and several within one, each with one more of its own.
    for children in [
        |x| if x % 10 == 0 { vec![] } else { vec![x - 1] },
        |x| match x {
            100.. => vec![1, 2, 3],
            10.. => vec![],
            _ => vec![x + 10],
        },
    ] {
        let (imports, weak) = calling(children);
        let guest = guest_of(StackPolicy::Exclusive, imports, "");
        weak.set(guest.downgrade()).unwrap();
        let of = [3, 100, 2, 0, 101, 1];
        let answers = block_on(join_all(of.map(|x| call(&guest, "holds", x))));
        for (x, answer) in of.into_iter().zip(answers) {
            assert_eq!(answer.unwrap(), (expected(x, children),), "{x}");
        }
        assert_eq!(pointer(&guest), 8192);
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}

/// A guest that is poisoned while a call is parked within another: both end, and once it is opened
/// their parts of the stack are free, whatever order they are dropped in.
#[test]
fn poisoned_calls_within_each_other_give_the_stack_back() {
    for order in [[0, 1], [1, 0]] {
        let (desk, kept) = (Desk::new(), Arc::new(Mutex::new(None)));
        let (guest, mut outer) = escaping(&desk, &kept);
        let inner = kept.lock().unwrap().take().unwrap();
        // What a host function does badly, in a call above both.
        let failed = guest.try_with(|cx| cx.call::<i32, i32>("fails", 0)).unwrap();
        assert!(failed.is_err());
        block_on(guest.clear_poison()).unwrap();
        let mut above = call(&guest, "holds", 7);
        park(&mut above);
        assert!(matches!(fails(&mut outer), Error::Poisoned { .. }));
        let mut calls = [Some(outer), Some(inner)];
        for which in order {
            calls[which] = None;
        }
        assert!(pointer(&guest) < 8192);
        desk.answer(7);
        assert_eq!(ends(&mut above), (ran(7),));
        assert_eq!(pointer(&guest), 8192, "{order:?}");
    }
}

/// A guest in which `holds(1)` is parked, and within it a `holds(2)` that its import made, polled
/// once, and left in `kept`.
fn escaping(desk: &Desk, kept: &Arc<Mutex<Option<Call<(i32,)>>>>) -> (Guest, Call<(i32,)>) {
    let weak = Arc::new(OnceLock::<WeakGuest>::new());
    let mut imports = AsyncImports::new();
    let (waits, kept, of) = (desk.clone(), Arc::clone(kept), Arc::clone(&weak));
    let ty = FuncType::new(&ENGINE, [ValType::I32], [ValType::I32]);
    imports.define("env", "wait", ty, move |_, params| {
        let x = params[0].unwrap_i32();
        let (waiting, kept, guest) =
            (waits.wait(x), Arc::clone(&kept), of.get().unwrap().upgrade()?);
        Ok(ImportResult::wait(async move {
            if x == 1 {
                yield_now().await;
                let mut inner = call(&guest, "holds", 2);
                futures::future::poll_immediate(&mut inner).await;
                *kept.lock().unwrap() = Some(inner);
            }
            Ok(vec![Val::I32(waiting.await)])
        }))
    });
    let fails = r#"(func (export "fails") (param i32) (result i32) unreachable)"#;
    let module = module(&ENGINE, &format!("{WAIT} {COLLECTED} {fails}"));
    let builder = Guest::builder(&module).async_imports(imports);
    let builder = builder.stack_policy(StackPolicy::Exclusive).place(Place::Range(16384..65536));
    let guest = block_on(builder.window_size(1024).instantiate()).unwrap();
    weak.set(guest.downgrade()).unwrap();
    let mut outer = call(&guest, "holds", 1);
    park(&mut outer);
    park(&mut outer);
    assert_eq!(desk.asked(), [1, 2]);
    assert_eq!(guest.try_stats().unwrap().parked_calls, 2);
    (guest, outer)
}

/// What an import began and gave away ends before the call that it was made in goes on.
#[test]
fn a_call_goes_on_when_what_began_within_it_has_ended() {
    for dropped in [false, true] {
        let (desk, kept) = (Desk::new(), Arc::new(Mutex::new(None)));
        let (guest, mut outer) = escaping(&desk, &kept);
        let mut inner = kept.lock().unwrap().take().unwrap();
        desk.answer(1);
        let (counted, waker) = Wakes::new();
        assert!(poll_with(&mut outer, &waker).is_pending());
        assert_eq!(counted.count(), 0);
        if dropped {
            drop(inner);
        } else {
            desk.answer(2);
            assert_eq!(ends(&mut inner), (ran(2),));
        }
        assert_eq!(counted.count(), 1);
        assert_eq!(ends(&mut outer), (ran(1),));
        assert_eq!(pointer(&guest), 8192);
    }
}

/// The one around goes first: what it had on the stack is free when the other one ends.
#[test]
fn a_call_outlives_the_one_that_it_began_within() {
    for dropped in [false, true] {
        let (desk, kept) = (Desk::new(), Arc::new(Mutex::new(None)));
        let (guest, outer) = escaping(&desk, &kept);
        let mut inner = kept.lock().unwrap().take().unwrap();
        drop(outer);
        assert_eq!(pointer(&guest), 8192 - 2 * 16, "it is below");
        if dropped {
            drop(inner);
        } else {
            desk.answer(2);
            assert_eq!(ends(&mut inner), (ran(2),));
        }
        assert_eq!(pointer(&guest), 8192);
    }
}

/// A call that an import polls, but did not make.
#[test]
fn a_call_belongs_to_the_one_that_it_is_polled_within() {
    let given = Arc::new(Mutex::new(None::<Call<(i32,)>>));
    let mut imports = AsyncImports::new();
    let of = Arc::clone(&given);
    import(&mut imports, &ENGINE, "wait", &[ValType::I32], &[ValType::I32], move |params| {
        let (x, given) = (params[0].unwrap_i32(), of.lock().unwrap().take());
        async move {
            yield_now().await;
            let more = match given {
                Some(call) if x == 1 => call.await?.0,
                _ => 0,
            };
            Ok(vec![Val::I32(more)])
        }
    });
    let guest = guest_of(StackPolicy::Exclusive, imports, "");
    let mut first = call(&guest, "holds", 5);
    park(&mut first);
    let mut waits = call(&guest, "holds", 2);
    park(&mut waits);
    block_on(first).unwrap();
    *given.lock().unwrap() = Some(waits);
    assert_eq!(block_on(call(&guest, "holds", 1)).unwrap(), (3,));
}

#[test]
fn blocking_within_an_import_is_told() {
    let desk = Desk::new();
    let weak = Arc::new(OnceLock::<WeakGuest>::new());
    let mut imports = desk.imports(&ENGINE);
    let of = Arc::clone(&weak);
    let ty = FuncType::new(&ENGINE, [ValType::I32], [ValType::I32]);
    imports.define_plain("env", "blocks", ty, move |_, params| {
        let guest = of.get().unwrap().upgrade()?;
        let (answer,) = block_on(call(&guest, "holds", params[0].unwrap_i32()))?;
        Ok(vec![Val::I32(answer)])
    });
    let module = module(
        &ENGINE,
        &format!(
            r#"(import "env" "blocks" (func $blocks (param i32) (result i32))) {WAIT} {COLLECTED}
            (func (export "blocks") (param i32) (result i32) (call $blocks (local.get 0)))"#
        ),
    );
    let builder = Guest::builder(&module).async_imports(imports);
    let builder = builder.stack_policy(StackPolicy::Exclusive);
    let guest = block_on(builder.instantiate()).unwrap();
    weak.set(guest.downgrade()).unwrap();
    let error = fails(&mut call(&guest, "blocks", 1));
    assert!(matches!(error, Error::Reentered), "{error:?}");
    // Also where it would wait for its turn.
    let mut parked = call(&guest, "holds", 2);
    park(&mut parked);
    let error = guest.try_with(|cx| cx.call::<i32, i32>("blocks", 1)).unwrap().unwrap_err();
    assert!(matches!(error, Error::Reentered), "{error:?}");
    desk.answer(2);
    assert_eq!(ends(&mut parked), (ran(2),));
}
