//! What fails below a trampoline, which answers for it, while frames leave or come back.

use std::sync::Arc;

use asyncify_rt::private::Direct;
use asyncify_rt::{Error, Guest, GuestCx, ImportInfo};
use wasmtime::Engine;

use crate::common::{Desk, WAIT, answer, block_on, call, ends, module, park};

static THROUGH: ImportInfo =
    ImportInfo::new::<Direct, i32>("env", "through", false, &[], "i32", "");

/// What the trampoline answers for a failure.
const FAILED: i32 = -1000;

/// A guest whose `outer(x)` adds x to what `inner` returns. It calls that through a trampoline.
fn guest(desk: &Desk, inner: &str) -> Guest {
    guest_through(desk, inner, |cx| cx.call::<(), i32>("inner", ()).unwrap_or(FAILED))
}

/// As [`guest`], with the trampoline's own body.
fn guest_through(
    desk: &Desk,
    inner: &str,
    body: impl Fn(&mut GuestCx<'_, ()>) -> i32 + Clone + Send + Sync + 'static,
) -> Guest {
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "through" (func $through (result i32)))
        (memory (export "memory") 1)
        (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 65536))
        (func (export "inner") (result i32) (local $answer i32) (local $frame i32) {inner})
        (func (export "outer") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (local.set $x (call $pop))))
          (local.set $answer (call $through))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (i32.add (local.get $answer) (local.get $x)))"#
    );
    let mut imports = desk.imports(&engine);
    imports.trampoline::<(), Direct, i32, (), _>(&THROUGH, &Arc::new(()), move |(), cx, ()| {
        (body(cx), ())
    });
    let builder = Guest::builder(&module(&engine, &fields)).async_imports(imports);
    block_on(builder.trap_keeps_guest().instantiate()).unwrap()
}

/// The guest is as if nothing had suspended in it.
fn is_in_order(guest: &Guest) {
    let stats = guest.try_stats().unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    let pointer = guest.all_exports().global("__stack_pointer").unwrap();
    let pointer = guest.try_with(|cx| pointer.get(cx.store().unwrap()).unwrap_i32());
    assert_eq!(pointer.unwrap(), 65536);
}

/// `inner` waits, and fails when it is resumed, as often as it is called.
fn fails_when_resumed(guest: &Guest, desk: &Desk) {
    for _ in 0..3 {
        let mut outer = call(guest, "outer", 7);
        park(&mut outer);
        desk.answer(4);
        assert_eq!(ends(&mut outer), (FAILED + 7,));
        is_in_order(guest);
    }
}

#[test]
fn a_trap_while_frames_leave_ends_the_unwinding() {
    let desk = Desk::new();
    let inner = "(if REWINDING (then unreachable))
        (local.set $answer (call $wait (i32.const 4)))
        (if UNWINDING (then unreachable))
        (local.get $answer)";
    let guest = guest(&desk, inner);
    for again in 1..4 {
        assert_eq!(ends(&mut call(&guest, "outer", 7)), (FAILED + 7,));
        assert_eq!((desk.asked().len(), desk.dropped()), (again, again), "nobody waits any more");
        is_in_order(&guest);
    }
    desk.answer(4);
    assert_eq!(ends(&mut call(&guest, "outer", 7)), (answer(4) + 7,));
}

#[test]
fn a_trap_while_frames_come_back_ends_the_rewinding() {
    let desk = Desk::new();
    let inner = "(if REWINDING (then unreachable))
        (local.set $answer (call $wait (i32.const 4)))
        (if UNWINDING (then (call $push (i32.const 1)) (return (i32.const 0))))
        (local.get $answer)";
    let guest = guest(&desk, inner);
    fails_when_resumed(&guest, &desk);
}

/// `outer` has no frame on the shadow stack, so nothing in it puts the pointer back.
#[test]
fn a_trap_after_a_suspension_leaves_the_stack_pointer_as_it_was() {
    const WAITS: &str = "(if REWINDING (then (local.set $frame (call $pop)))
          (else
            (local.set $frame (i32.sub (global.get $__stack_pointer) (i32.const 64)))
            (global.set $__stack_pointer (local.get $frame))))
        (drop (call $wait (i32.const 4)))
        (if UNWINDING (then (call $push (local.get $frame)) (return (i32.const 0))))
        unreachable";
    for before in ["", "(if REWINDING (then unreachable))"] {
        let desk = Desk::new();
        let guest = guest(&desk, &format!("{before} {WAITS}"));
        fails_when_resumed(&guest, &desk);
    }
}

/// What waits in a second call of a trampoline would come back into the first.
#[test]
fn a_second_call_of_a_trampoline_must_not_suspend() {
    let desk = Desk::new();
    let inner = "(if REWINDING (then (drop (call $pop))))
        (local.set $answer (call $wait (i32.const 4)))
        (if UNWINDING (then (call $push (i32.const 1)) (return (i32.const 0))))
        (local.get $answer)";
    let guest = guest_through(&desk, inner, |cx| {
        let first = cx.call::<(), i32>("inner", ());
        match (first, cx.call::<(), i32>("inner", ())) {
            (Ok(first), Err(Error::HostFrame { import })) if import == "env.wait" => first * 10,
            // The guest unwinds.
            (Err(Error::Busy), Err(Error::Busy)) => FAILED,
            other => panic!("{other:?}"),
        }
    });
    for _ in 0..3 {
        let mut outer = call(&guest, "outer", 7);
        park(&mut outer);
        desk.answer(4);
        assert_eq!(ends(&mut outer), (answer(4) * 10 + 7,));
        is_in_order(&guest);
    }
    // Ready at once in the first call makes no difference to the second.
    desk.answer(4);
    assert_eq!(ends(&mut call(&guest, "outer", 7)), (answer(4) * 10 + 7,));
    is_in_order(&guest);
}
