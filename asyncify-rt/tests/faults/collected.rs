//! Guests whose collector looks for objects on the stack, and which policy keeps what a waiting
//! call holds.

use std::sync::LazyLock;

use asyncify_rt::{AsyncImports, Error, Guest, Place, StackPolicy};
use wasmtime::Engine;

use crate::common::{
    Desk, RUN, WAIT, answer, assert_error, block_on, call, ends, fails, module, park, poll, ran,
};

pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

/// A stack from 8192 down, and four objects. Whoever makes one has the collector run first: an
/// object is kept if its address is on the stack, from its pointer up. `holds(x)` makes one with
/// `x`, keeps its address on the stack while it waits, and returns `wait(x)` and what is in it.
pub(crate) const COLLECTED: &str = r#"
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

pub(crate) fn guest_of(policy: StackPolicy, imports: AsyncImports<()>, fields: &str) -> Guest {
    let module = module(&ENGINE, &format!("{WAIT} {COLLECTED} {fields}"));
    let builder = Guest::builder(&module).async_imports(imports).stack_policy(policy);
    let builder = builder.place(Place::Range(16384..65536)).window_size(1024).region_size(1024);
    block_on(builder.trap_keeps_guest().instantiate()).unwrap()
}

pub(crate) fn guest(desk: &Desk) -> Guest {
    guest_of(StackPolicy::Exclusive, desk.imports(&ENGINE), "")
}

pub(crate) fn pointer(guest: &Guest) -> i32 {
    guest.try_with(|cx| cx.call::<(), i32>("pointer", ())).unwrap().unwrap()
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
