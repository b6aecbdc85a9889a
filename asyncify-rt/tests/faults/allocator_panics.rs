//! An allocator of the guest's that reaches a host function, and that one panics, while the host
//! works for calls that are parked or dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asyncify_rt::{Error, Guest};
use wasmtime::{Engine, FuncType};

use crate::common::{Desk, WAIT, answer, block_on, call, ends, fails, module, park, poll};
use crate::texts::Texts;

/// Memory is never given twice; how much was is kept at 0. `env.taken` and `env.given` are told of it.
const ALLOCATOR: &str = r#"
    (import "env" "taken" (func $taken)) (import "env" "given" (func $given))
    (memory (export "memory") 1)
    (func (export "malloc") (param i32) (result i32)
      (call $taken)
      (i32.add (i32.load (i32.const 0)) (i32.const 1024))
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0))
        (i32.and (i32.add (local.get 0) (i32.const 15)) (i32.const -16)))))
    (func (export "free") (param i32) (call $given))"#;

/// `wide(x)` waits with a frame of 128 bytes; `text(ptr, len)` waits for the length.
const FUNCTIONS: &str = r#"
    (func (export "wide") (param $x i32) (result i32) (local $i i32) (local $answer i32)
      (if REWINDING (then
        (local.set $i (i32.const 32))
        (loop $again
          (local.set $x (call $pop))
          (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then
        (local.set $i (i32.const 32))
        (loop $again
          (call $push (local.get $x))
          (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (return (i32.const 0))))
      (i32.add (local.get $answer) (local.get $x)))
    (func (export "text") (param $ptr i32) (param $len i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $len (call $pop))))
      (local.set $answer (call $wait (local.get $len)))
      (if UNWINDING (then (call $push (local.get $len)) (return (i32.const 0))))
      (local.get $answer))"#;

#[derive(Default)]
struct Rig {
    desk: Desk,
    taken_panics: Arc<AtomicBool>,
    given_panics: Arc<AtomicBool>,
}

impl Rig {
    /// Its first window has 64 bytes, and as many behind them.
    fn guest(&self) -> Guest {
        self.guest_with(ALLOCATOR)
    }

    fn guest_with(&self, allocator: &str) -> Guest {
        let engine = Engine::default();
        let mut imports = self.desk.imports(&engine);
        for (name, panics) in [("taken", &self.taken_panics), ("given", &self.given_panics)] {
            let panics = Arc::clone(panics);
            imports.define_plain("env", name, FuncType::new(&engine, [], []), move |_, _| {
                assert!(!panics.load(Ordering::Relaxed), "on purpose");
                Ok(Vec::new())
            });
        }
        let module = module(&engine, &format!("{WAIT} {allocator} {FUNCTIONS}"));
        let builder = Guest::builder(&module).async_imports(imports).window_size(64);
        block_on(builder.instantiate()).unwrap()
    }

    /// The guest holds nothing, and can be used once its poison is cleared.
    fn is_in_order(&self, guest: &Guest) {
        let stats = guest.try_stats().unwrap();
        assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
        assert!(block_on(guest.is_poisoned()).unwrap());
        block_on(guest.clear_poison()).unwrap();
        let mut wide = call(guest, "wide", 7);
        park(&mut wide);
        self.desk.answer(7);
        assert_eq!(ends(&mut wide), (answer(7) + 7,));
    }
}

fn panics<R>(work: impl FnOnce() -> R) {
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(work())));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
}

#[test]
fn a_call_whose_window_is_to_grow_when_it_resumes_is_collected() {
    let rig = Rig::default();
    let guest = rig.guest();
    let mut wide = call(&guest, "wide", 5);
    park(&mut wide);
    rig.taken_panics.store(true, Ordering::Relaxed);
    rig.desk.answer(5);
    panics(|| poll(&mut wide));
    rig.taken_panics.store(false, Ordering::Relaxed);
    let error = fails(&mut wide);
    assert!(matches!(error, Error::CallEnded | Error::Poisoned { .. }), "{error:?}");
    drop(wide);
    rig.is_in_order(&guest);
}

#[test]
fn all_dropped_calls_are_collected_before_what_was_placed_for_them_is_freed() {
    let rig = Rig::default();
    let guest = rig.guest();
    let Texts(text) = guest.exports().unwrap();
    let calls = ["one", "three"].map(|of| {
        let mut call = text.call((of.to_owned(), ()));
        park(&mut call);
        call
    });
    rig.given_panics.store(true, Ordering::Relaxed);
    drop(calls);
    panics(|| guest.try_stats());
    rig.given_panics.store(false, Ordering::Relaxed);
    rig.is_in_order(&guest);
}

#[test]
fn a_call_whose_old_window_cannot_be_freed_when_it_resumes_is_told() {
    let rig = Rig::default();
    let free = "(if (i32.load8_u (i32.const 8)) (then unreachable))";
    let guest = rig.guest_with(&ALLOCATOR.replace("(call $given)", free));
    let mut wide = call(&guest, "wide", 5);
    park(&mut wide);
    guest.try_with(|cx| cx.write(8, &[1])).unwrap().unwrap();
    rig.desk.answer(5);
    let error = fails(&mut wide);
    assert!(matches!(error, Error::Poisoned { .. }), "{error:?}");
    rig.is_in_order(&guest);
}
