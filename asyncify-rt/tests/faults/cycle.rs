//! The steps of the cycle, done rightly.

use asyncify_rt::{Error, Guest};
use wasmtime::{Engine, Val};

use crate::common::{
    Desk, RUN, WAIT, Wakes, answer, assert_error, block_on, by_hand, call, ends, fails, guest_with,
    instantiate, module, park, poll_with, ran, yielding_wait,
};

fn stats(guest: &Guest) -> asyncify_rt::Stats {
    guest.try_stats().unwrap()
}

#[test]
fn an_import_that_is_ready_at_once_unwinds_nothing() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    desk.answer(5);
    assert_eq!(ends(&mut call(&guest, "run", 5)), (ran(5),));
    assert_eq!(desk.polls(), 1);
    let stats = stats(&guest);
    assert_eq!((stats.suspensions, stats.window_bytes, stats.most_parked_calls), (0, 0, 0));
}

#[test]
fn an_import_that_waits_parks_its_call_and_resumes_it() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    let parked = stats(&guest);
    assert_eq!((parked.parked_calls, parked.parked_bytes, parked.suspensions), (1, 4, 1));
    assert_eq!((parked.most_window_bytes, parked.window_bytes), (4, (64 << 10) - 16));
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
    let ended = stats(&guest);
    assert_eq!((ended.parked_calls, ended.parked_bytes, ended.most_parked_calls), (0, 0, 1));
}

#[test]
fn nothing_runs_before_the_first_poll() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    drop(call(&guest, "run", 5));
    assert_eq!(desk.asked(), []);
}

#[test]
fn a_call_that_parks_is_pending_once_and_polls_its_import_once() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    assert_eq!(desk.polls(), 1);
    park(&mut run);
    assert_eq!(desk.polls(), 2);
}

#[test]
fn the_import_wakes_the_task_that_polls_the_call() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    let (first, waker) = Wakes::new();
    assert!(poll_with(&mut run, &waker).is_pending());
    let (second, waker) = Wakes::new();
    assert!(poll_with(&mut run, &waker).is_pending());
    assert_eq!((first.count(), second.count()), (0, 0));
    desk.answer(5);
    assert!(second.count() > 0);
}

const NESTED: &str = r#"
    (func $inner (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $x (call $pop))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (i32.sub (local.get $answer) (local.get $x)))
    ;; inner(x) * 10 + x, then the same again for x + 1, added up.
    (func (export "twice") (param $x i32) (result i32) (local $sum i32) (local $i i32) (local $got i32)
      (if REWINDING (then
        (local.set $i (call $pop)) (local.set $sum (call $pop)) (local.set $x (call $pop))))
      (loop $again
        (local.set $got (call $inner (i32.add (local.get $x) (local.get $i))))
        (if UNWINDING (then
          (call $push (local.get $x)) (call $push (local.get $sum)) (call $push (local.get $i))
          (return (i32.const 0))))
        (local.set $sum (i32.add (local.get $sum)
          (i32.add (i32.mul (local.get $got) (i32.const 10)) (i32.add (local.get $x) (local.get $i)))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2))))
      (local.get $sum))"#;

fn twice(x: i32) -> i32 {
    let inner = |x| (answer(x) - x) * 10 + x;
    inner(x) + inner(x + 1)
}

#[test]
fn frames_of_several_functions_come_back_in_each_of_several_suspensions() {
    let desk = Desk::new();
    let guest = guest_with(&desk, NESTED);
    let mut twice_7 = call(&guest, "twice", 7);
    park(&mut twice_7);
    assert_eq!(stats(&guest).parked_bytes, 16);
    desk.answer(7);
    park(&mut twice_7);
    desk.answer(8);
    assert_eq!(ends(&mut twice_7), (twice(7),));
    assert_eq!(desk.asked(), [7, 8]);
    assert_eq!(stats(&guest).suspensions, 2);
}

#[test]
fn calls_of_one_guest_park_side_by_side_and_end_in_any_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [1, 3, 2]] {
        let desk = Desk::new();
        let guest = guest_with(&desk, NESTED);
        let mut calls = [10, 20, 30].map(|x| call(&guest, "twice", x));
        calls.iter_mut().for_each(park);
        assert_eq!(stats(&guest).parked_calls, 3);
        for step in 0..2 {
            for which in order {
                desk.answer(10 * which + step);
                let call = &mut calls[usize::try_from(which).unwrap() - 1];
                if step == 0 { park(call) } else { assert_eq!(ends(call), (twice(10 * which),)) }
            }
        }
        assert_eq!(stats(&guest).parked_calls, 0);
    }
}

#[test]
fn a_guest_in_which_calls_are_parked_is_in_state_normal() {
    let desk = Desk::new();
    let guest = guest_with(&desk, r#"(func (export "state") (result i32) (global.get $state))"#);
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    let state = |cx: &mut asyncify_rt::GuestCx<'_, ()>| cx.call::<(), i32>("state", ());
    assert_eq!(guest.try_with(state).unwrap().unwrap(), 0);
    park(&mut call(&guest, "run", 6));
    let raw = guest.try_with(|cx| {
        let state = cx.export("state").unwrap().into_func().unwrap();
        let store = cx.store().unwrap();
        let state = state.typed::<(), i32>(&store).unwrap();
        state.call(store, ()).unwrap()
    });
    assert_eq!(raw.unwrap(), 0);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
}

#[test]
fn a_host_writes_the_globals_so_that_the_functions_need_not_be_there() {
    let wat = by_hand(&format!("{WAIT} (memory 1) {RUN}"))
        .replace("asyncify_", "minified_")
        .replace("(global $state (mut", r#"(global $state (export "__asyncify_state") (mut"#)
        .replace("(global $data (mut", r#"(global $data (export "__asyncify_data") (mut"#);
    let engine = Engine::default();
    let module = asyncify_rt::Module::new(&engine, wat).unwrap();
    let guest = instantiate(&module, yielding_wait(&engine, 2));
    assert_eq!(block_on(call(&guest, "run", 5)).unwrap(), (ran(5),));
}

#[test]
fn typed_dynamic_and_table_calls_are_the_same() {
    let desk = Desk::new();
    let guest = guest_with(&desk, r#"(table (export "table") funcref (elem $run))"#);
    let function = guest.all_exports().function("run").unwrap();
    assert_eq!(function.name(), "run");
    let table = guest.all_exports().table("table").unwrap();
    let element = guest.try_with(|cx| {
        let store = cx.store().unwrap();
        let element = table.get(store, 0).unwrap().unwrap_func().copied().unwrap();
        cx.function("table[0]", element).unwrap()
    });
    for function in [function, element.unwrap()] {
        let mut call = function.call([wasmtime::Val::I32(5)]);
        park(&mut call);
        desk.answer(5);
        assert_eq!(ends(&mut call)[0].unwrap_i32(), ran(5));
    }
}

#[test]
fn a_result_may_be_of_a_type_without_a_zero() {
    let guest = guest_with(
        &Desk::new(),
        r#"(func $other (export "other") (result (ref func)) (ref.func $other))"#,
    );
    let other = guest.all_exports().function("other").unwrap();
    assert!(ends(&mut other.call([]))[0].unwrap_funcref().is_some());
}

#[test]
fn a_parameter_may_be_of_a_type_without_a_zero() {
    let desk = Desk::new();
    let fields = r#"(func $other (export "other"))
        (func (export "refers") (param (ref func)) (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (local.set $x (call $pop))))
          (local.set $answer (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (i32.add (local.get $answer) (local.get $x)))"#;
    let guest = guest_with(&desk, fields);
    let other = guest.try_with(|cx| cx.export("other").unwrap().into_func()).unwrap();
    let refers = guest.all_exports().function("refers").unwrap();
    let mut call = refers.call([Val::FuncRef(other), Val::I32(5)]);
    park(&mut call);
    desk.answer(5);
    assert_eq!(ends(&mut call)[0].unwrap_i32(), ran(5));
}

#[test]
fn a_call_that_has_ended_says_so_when_it_is_polled_again() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    desk.answer(5);
    let mut run = call(&guest, "run", 5);
    ends(&mut run);
    assert_error!(fails(&mut run), Error::CallEnded, "the call has already ended; poll it no more");
}

#[test]
fn initializers_run_first_and_may_suspend() {
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (memory 1) {RUN} (global $ready (mut i32) (i32.const 1))
        (func (export "_initialize") (local $answer i32)
          (if REWINDING (then (drop (call $pop))))
          (local.set $answer (call $wait (i32.const 4)))
          (if UNWINDING (then (call $push (i32.const 0)) (return)))
          (global.set $ready (local.get $answer)))
        (func (export "later") (global.set $ready (i32.mul (global.get $ready) (i32.const 2))))
        (func (export "ready") (param i32) (result i32) (global.get $ready))"#
    );
    let module = module(&engine, &fields);
    let guest = instantiate(&module, yielding_wait(&engine, 1));
    assert_eq!(ends(&mut call(&guest, "ready", 0)), (answer(4),));
    let chosen = Guest::builder(&module).async_imports(yielding_wait(&engine, 1)).initialize([
        "later",
        "_initialize",
        "later",
    ]);
    let guest = block_on(chosen.instantiate()).unwrap();
    assert_eq!(ends(&mut call(&guest, "ready", 0)), (answer(4) * 2,));
    let missing =
        Guest::builder(&module).async_imports(yielding_wait(&engine, 1)).initialize(["first"]);
    assert_error!(
        block_on(missing.instantiate()).unwrap_err(),
        Error::NoSuchExport { kind: "function", name, present } if name == "first" && present.len() == 4,
        "the guest exports no function `first`; it exports `run`, `_initialize`, `later` and `ready`"
    );
}
