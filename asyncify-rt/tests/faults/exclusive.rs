//! Calls that take turns whole, and guests that need it: a collector looks for objects on the stack.

use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use asyncify_rt::{AsyncImports, Call, Error, Guest, ImportResult, Place, StackPolicy, WeakGuest};
use futures::future::join_all;
use proptest::prelude::*;
use wasmtime::{Engine, FuncType, Val, ValType};

use crate::common::{
    Desk, RUN, WAIT, Wakes, answer, assert_error, block_on, call, ends, fails, import, module,
    park, poll, poll_with, ran, yield_now,
};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

/// A stack from 8192 down, and four objects. Whoever makes one has the collector run first: an
/// object is kept if its address is on the stack, from its pointer up. `holds(x)` makes one with
/// `x`, keeps its address on the stack while it waits, and returns `wait(x)` and what is in it.
const COLLECTED: &str = r#"
    (memory (export "memory") 1)
    (global $__stack_pointer (mut i32) (i32.const 8192))
    (func $is_held (param $object i32) (result i32) (local $at i32)
      (local.set $at (global.get $__stack_pointer))
      (loop $again
        (if (i32.ge_u (local.get $at) (i32.const 8192)) (then (return (i32.const 0))))
        (if (i32.eq (i32.load (local.get $at)) (local.get $object)) (then (return (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $again))
      unreachable)
    (func $make (param $x i32) (result i32) (local $object i32)
      (local.set $object (i32.const 1024))
      (loop $again
        (if (i32.eqz (call $is_held (local.get $object)))
          (then (i32.store (local.get $object) (local.get $x)) (return (local.get $object))))
        (local.set $object (i32.add (local.get $object) (i32.const 8)))
        (br_if $again (i32.lt_u (local.get $object) (i32.const 1056))))
      unreachable)
    (func (export "holds") (param $x i32) (result i32) (local $sp i32) (local $answer i32)
      (if REWINDING
        (then (local.set $sp (call $pop)) (local.set $x (call $pop)))
        (else
          (local.set $sp (i32.sub (global.get $__stack_pointer) (i32.const 16)))
          (i64.store (local.get $sp) (i64.const 0))
          (i64.store offset=8 (local.get $sp) (i64.const 0))
          (global.set $__stack_pointer (local.get $sp))
          (i32.store (local.get $sp) (call $make (local.get $x)))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING
        (then (call $push (local.get $x)) (call $push (local.get $sp)) (return (i32.const 0))))
      (local.set $answer (i32.add (local.get $answer) (i32.load (i32.load (local.get $sp)))))
      (global.set $__stack_pointer (i32.add (local.get $sp) (i32.const 16)))
      (local.get $answer))
    (func (export "traps") (param $x i32) (result i32)
      (if REWINDING (then (drop (call $pop))))
      (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
      (drop (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
      unreachable)
    (func (export "pointer") (result i32) (global.get $__stack_pointer))"#;

fn guest_of(policy: StackPolicy, imports: AsyncImports<()>, fields: &str) -> Guest {
    let module = module(&ENGINE, &format!("{WAIT} {COLLECTED} {fields}"));
    let builder = Guest::builder(&module).async_imports(imports).stack_policy(policy);
    let builder = builder.place(Place::Range(16384..65536)).window_size(1024).region_size(1024);
    block_on(builder.trap_keeps_guest().instantiate()).unwrap()
}

fn guest(desk: &Desk) -> Guest {
    guest_of(StackPolicy::Exclusive, desk.imports(&ENGINE), "")
}

fn pointer(guest: &Guest) -> i32 {
    guest.try_with(|cx| cx.call::<(), i32>("pointer", ())).unwrap().unwrap()
}

/// Polls a call until it has begun or so often that it would have.
fn insist<R: std::fmt::Debug>(call: &mut Call<R>, desk: &Desk) -> bool {
    let before = desk.asked().len();
    for _ in 0..5_000 {
        park(call);
        if desk.asked().len() > before {
            return true;
        }
    }
    false
}

#[test]
fn a_collector_finds_what_waiting_calls_hold() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let desk = Desk::new();
        let guest = guest(&desk);
        let mut calls = [10, 11, 12].map(|x| call(&guest, "holds", x));
        for which in order {
            assert!(poll(&mut calls[which]).is_pending());
        }
        for (place, which) in order.into_iter().enumerate() {
            let x = 10 + i32::try_from(which).unwrap();
            if place > 0 {
                park(&mut calls[which]);
            }
            assert_eq!(desk.asked().last(), Some(&x), "one at a time, in the order they came");
            desk.answer(x);
            assert_eq!(ends(&mut calls[which]), (ran(x),));
        }
        assert_eq!(pointer(&guest), 8192);
        assert_eq!(guest.try_stats().unwrap().most_parked_calls, 1);
    }
}

/// Why there is the policy: the collector looks above the pointer, and what a call holds whose part
/// of the stack was moved, or that began elsewhere, is not there.
#[test]
fn the_other_policies_lose_it() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let desk = Desk::new();
        let guest = guest_of(policy, desk.imports(&ENGINE), "");
        let mut calls = [10, 11].map(|x| call(&guest, "holds", x));
        calls.iter_mut().for_each(park);
        desk.answer(10);
        assert_eq!(ends(&mut calls[0]), (answer(10) + 11,), "{policy:?}: the other one's object");
    }
}

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

#[test]
fn a_call_that_is_dropped_passes_its_turn_on() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut first = call(&guest, "holds", 1);
    park(&mut first);
    let (counted, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| Wakes::new()).unzip();
    let mut others = [2, 3, 4].map(|x| call(&guest, "holds", x));
    for (other, waker) in others.iter_mut().zip(&wakers) {
        assert!(poll_with(other, waker).is_pending());
    }
    let [second, mut third, fourth] = others;
    // One that waits goes: nobody else need know.
    drop(second);
    assert_eq!(counted[1].count(), 0);
    // The one that all wait for.
    drop(first);
    assert_eq!(desk.dropped(), 1);
    assert!(counted[1].count() == 1 && counted[2].count() == 1);
    park(&mut third);
    assert_eq!(desk.asked(), [1, 3]);
    assert_eq!(pointer(&guest), 8176, "the first one's part is free");
    desk.answer(3);
    assert_eq!(ends(&mut third), (ran(3),));
    drop(fourth);
    assert_eq!(pointer(&guest), 8192);
}

#[test]
fn one_that_does_not_come_loses_its_turn_and_keeps_its_place() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut first = call(&guest, "holds", 1);
    park(&mut first);
    let mut kept = [2, 3].map(|x| call(&guest, "holds", x));
    kept.iter_mut().for_each(park);
    let mut others = [4, 5].map(|x| call(&guest, "holds", x));
    others.iter_mut().for_each(park);
    desk.answer(1);
    assert_eq!(ends(&mut first), (ran(1),));
    // Nobody polls the second and the third.
    assert!(insist(&mut others[0], &desk));
    assert_eq!(desk.asked(), [1, 4]);
    // They come back, before the one behind them.
    kept.iter_mut().for_each(park);
    desk.answer(4);
    assert_eq!(ends(&mut others[0]), (ran(4),));
    park(&mut others[1]);
    park(&mut kept[1]);
    assert_eq!(desk.asked(), [1, 4]);
    park(&mut kept[0]);
    assert_eq!(desk.asked(), [1, 4, 2]);
}

#[test]
fn a_call_that_is_told_to_clean_up_keeps_its_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut calls = [1, 2].map(|x| call(&guest, "holds", x));
    calls.iter_mut().for_each(park);
    assert!(matches!(calls[1].cancel(&[Val::I32(0)]), Err(Error::NotParked { .. })));
    calls[0].cancel(&[Val::I32(50)]).unwrap();
    park(&mut calls[1]);
    assert_eq!(desk.asked(), [1]);
    assert_eq!(ends(&mut calls[0]), (51,));
    park(&mut calls[1]);
    assert_eq!(desk.asked(), [1, 2]);
}

#[test]
fn a_trap_gives_the_stack_back_and_lets_the_next_one_begin() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut traps = call(&guest, "traps", 1);
    let mut next = call(&guest, "holds", 2);
    park(&mut traps);
    park(&mut next);
    desk.answer(1);
    assert!(matches!(fails(&mut traps), Error::Trap { .. }));
    assert_eq!(pointer(&guest), 8192);
    park(&mut next);
    desk.answer(2);
    assert_eq!(ends(&mut next), (ran(2),));
}

/// One that is over says so, whoever's turn it is.
#[test]
fn a_call_that_has_ended_waits_for_no_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut over = call(&guest, "holds", 1);
    park(&mut over);
    desk.answer(1);
    assert_eq!(ends(&mut over), (ran(1),));
    park(&mut call(&guest, "holds", 2));
    let mut parked = call(&guest, "holds", 3);
    park(&mut parked);
    assert!(matches!(fails(&mut over), Error::CallEnded));
}

/// What is done with the guest in hand waits for nobody: it runs above what is parked.
#[test]
fn the_guest_in_hand_waits_for_no_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut parked = call(&guest, "holds", 1);
    park(&mut parked);
    assert_eq!(pointer(&guest), 8176);
    let plain = guest.all_exports().typed::<(), (i32,)>("pointer").unwrap();
    let mut plain = plain.call_plain(());
    assert!(poll(&mut plain).is_pending(), "a call is a call");
    desk.answer(1);
    assert_eq!(ends(&mut parked), (ran(1),));
    assert_eq!(block_on(plain).unwrap(), (8192,));
}

#[test]
fn poisoning_ends_those_who_wait() {
    let desk = Desk::new();
    let module = module(&ENGINE, &format!("{WAIT} {COLLECTED}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&ENGINE));
    let builder = builder.stack_policy(StackPolicy::Exclusive).place(Place::Range(16384..65536));
    let guest = block_on(builder.window_size(1024).instantiate()).unwrap();
    let mut traps = call(&guest, "traps", 1);
    park(&mut traps);
    let (counted, waker) = Wakes::new();
    let mut next = call(&guest, "holds", 2);
    assert!(poll_with(&mut next, &waker).is_pending());
    desk.answer(1);
    assert!(matches!(fails(&mut traps), Error::Trap { .. }));
    assert!(counted.count() > 0);
    assert!(matches!(fails(&mut next), Error::Poisoned { .. }));
    block_on(guest.clear_poison()).unwrap();
    let mut after = call(&guest, "holds", 3);
    park(&mut after);
    desk.answer(3);
    assert_eq!(ends(&mut after), (ran(3),));
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

#[test]
fn an_uncertain_stack_pointer_is_left_alone() {
    let desk = Desk::new();
    let two =
        "(memory 1) (global $a (mut i32) (i32.const 1024)) (global $b (mut i32) (i32.const 2048))
         (func (global.set $a (i32.sub (global.get $a) (i32.const 16)))
           (global.set $b (i32.sub (global.get $b) (i32.const 16))) unreachable)";
    let module = module(&ENGINE, &format!("{WAIT} {two} {RUN}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&ENGINE));
    let guest = block_on(builder.stack_policy(StackPolicy::Exclusive).instantiate()).unwrap();
    let mut calls = [1, 2].map(|x| call(&guest, "run", x));
    for x in [1, 2] {
        calls.iter_mut().skip(usize::from(x == 2)).for_each(park);
        desk.answer(x);
        assert_eq!(ends(&mut calls[usize::from(x == 2)]), (ran(x),));
    }
    // What it had on the stack cannot be freed.
    let mut dropped = call(&guest, "run", 3);
    park(&mut dropped);
    drop(dropped);
    assert!(block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn a_module_with_a_collector_is_led_to_it() {
    let desk = Desk::new();
    let two =
        "(memory 1) (global $a (mut i32) (i32.const 1024)) (global $b (mut i32) (i32.const 2048))
         (func (global.set $a (i32.sub (global.get $a) (i32.const 16)))
           (global.set $b (i32.sub (global.get $b) (i32.const 16))) unreachable)";
    for (function, told) in [
        (r#"(func (export "__collect"))"#, "__collect"),
        ("(func $GC_gcollect)", "GC_*"),
        ("(func $tinygo_scanCurrentStack)", "tinygo_*"),
        (r#"(func (export "mp_js_init"))"#, "mp_js_*"),
        ("(func $gc_collect_root)", "gc_collect*"),
        ("(func $rb_gc_mark)", "rb_gc*"),
        ("(func $~lib/rt/itcms/visit)", "~lib/rt/*"),
    ] {
        let module = module(&ENGINE, &format!("{WAIT} {two} {RUN} {function}"));
        assert_eq!(module.findings().collector(), Some(told));
        let guest = crate::common::instantiate(&module, desk.imports(&ENGINE));
        let mut first = call(&guest, "run", 1);
        park(&mut first);
        assert_error!(
            fails(&mut call(&guest, "run", 2)),
            Error::StackPointerUncertain { collector: Some(collector), .. } if collector == told,
            format!("`env.wait` cannot suspend a second call: it may be global 0 (`a`), which starts at 0x400, or global 1 (`b`), which starts at 0x800; let calls take turns with `StackPolicy::Exclusive`: the module has functions named `{told}`, as where a collector scans the guest's stack, and that must find what waiting calls hold there")
        );
    }
    let none = module(&ENGINE, &format!("{WAIT} {two} {RUN} (func $collect_GC_mp_tinygo)"));
    assert_eq!(none.findings().collector(), None);
}

#[derive(Clone, Debug)]
enum Op {
    Start,
    Poll(prop::sample::Index),
    Answer,
    Drop(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Start),
        4 => any::<prop::sample::Index>().prop_map(Op::Poll),
        3 => Just(Op::Answer),
        1 => any::<prop::sample::Index>().prop_map(Op::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of calls that are started, polled, answered and dropped at random, the one runs that came
    /// first.
    #[test]
    fn turns_go_by_who_came_first(ops in prop::collection::vec(op(), 1..80)) {
        let desk = Desk::new();
        let guest = guest(&desk);
        let mut calls: Vec<(i32, Call<(i32,)>)> = Vec::new();
        // Whose turn it is, whether it is answered, and who began so far.
        let (mut turn, mut begun) = (None::<(i32, bool)>, Vec::new());
        let mut next = 0;
        for op in ops {
            let which = match op {
                Op::Start => {
                    next += 1;
                    calls.push((next, call(&guest, "holds", next)));
                    calls.len() - 1
                }
                Op::Answer => {
                    if let Some((x, answered @ false)) = &mut turn {
                        desk.answer(*x);
                        *answered = true;
                    }
                    continue;
                }
                Op::Poll(_) | Op::Drop(_) if calls.is_empty() => continue,
                Op::Poll(which) => which.index(calls.len()),
                Op::Drop(which) => {
                    let (x, call) = calls.remove(which.index(calls.len()));
                    drop(call);
                    turn = turn.filter(|(of, _)| *of != x);
                    continue;
                }
            };
            let (x, call) = &mut calls[which];
            let x = *x;
            match turn {
                Some((of, true)) if of == x => {
                    prop_assert_eq!(ends(call), (ran(x),));
                    drop(calls.remove(which));
                    turn = None;
                }
                turn_of => {
                    park(call);
                    if turn_of.is_none() && which == 0 {
                        begun.push(x);
                        turn = Some((x, false));
                    }
                }
            }
            prop_assert_eq!(&desk.asked(), &begun);
        }
        drop(calls);
        prop_assert_eq!(pointer(&guest), 8192);
        prop_assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}
