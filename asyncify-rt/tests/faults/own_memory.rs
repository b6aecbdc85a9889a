//! A guest that uses every byte of its memory: a window that is borrowed from it leaves no trace,
//! neither while calls wait nor after.

use asyncify_rt::{Builder, Guest, StackPolicy};
use proptest::prelude::*;
use wasmtime::Engine;

use crate::borrowed::memory;
use crate::common::{Desk, WAIT, answer, block_on, call, ends, module, park};

/// An allocator that takes all memory for its own, as arenas written by hand do; and three that use
/// what it gives. Each answers how many bytes or records are not what they should be.
const OWNER: &str = r#"
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 0))
    (func $alloc (param $n i32) (result i32) (local $p i32)
      (if (i32.eqz (global.get $top)) (then (global.set $top (i32.const 1024))))
      (local.set $p (global.get $top))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get $n) (i32.const 16)) (i32.const 1))))))
      (local.get $p))
    ;; How many words from p on, one in `step` bytes, are not `kind`: 0, or their index.
    (func $differ (param $p i32) (param $n i32) (param $step i32) (param $kind i32) (result i32)
      (local $i i32) (local $bad i32)
      (loop $again
        (if (i32.ne
              (i32.load (i32.add (local.get $p) (local.get $i)))
              (i32.mul (local.get $i) (local.get $kind)))
          (then (local.set $bad (i32.add (local.get $bad) (i32.const 1)))))
        (local.set $i (i32.add (local.get $i) (local.get $step)))
        (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
      (local.get $bad))
    (func $fill (param $p i32) (param $n i32) (param $step i32) (local $i i32)
      (loop $again
        (i32.store (i32.add (local.get $p) (local.get $i)) (local.get $i))
        (local.set $i (i32.add (local.get $i) (local.get $step)))
        (br_if $again (i32.lt_u (local.get $i) (local.get $n)))))
    (func (export "fresh") (param $n i32) (result i32)
      (if REWINDING (then (local.set $n (call $pop))))
      (drop (call $wait (i32.const 1)))
      (if UNWINDING (then (call $push (local.get $n)) (return (i32.const 0))))
      (call $differ (call $alloc (local.get $n)) (local.get $n) (i32.const 4) (i32.const 0)))
    (func $keeps (param $n i32) (param $step i32) (result i32) (local $p i32) (local $at i32)
      (if REWINDING (then
        (local.set $at (call $pop)) (local.set $p (call $pop))
        (local.set $step (call $pop)) (local.set $n (call $pop))))
      (block $second
        (br_if $second (i32.eq (local.get $at) (i32.const 2)))
        (local.set $at (i32.const 1))
        (drop (call $wait (i32.const 1)))
        (br_if $second UNWINDING)
        (local.set $p (call $alloc (local.get $n)))
        (call $fill (local.get $p) (local.get $n) (local.get $step))
        (local.set $at (i32.const 2)))
      (if (i32.eqz UNWINDING) (then (drop (call $wait (i32.const 2)))))
      (if UNWINDING (then
        (call $push (local.get $n)) (call $push (local.get $step))
        (call $push (local.get $p)) (call $push (local.get $at)) (return (i32.const 0))))
      (call $differ (local.get $p) (local.get $n) (local.get $step) (i32.const 1)))
    (func (export "sparse") (param $n i32) (result i32) (local $bad i32)
      (if REWINDING (then (drop (call $pop))))
      (local.set $bad (call $keeps (local.get $n) (i32.const 16)))
      (if UNWINDING (then (call $push (i32.const 0))))
      (local.get $bad))
    (func (export "full") (param $n i32) (result i32) (local $bad i32)
      (if REWINDING (then (drop (call $pop))))
      (local.set $bad (call $keeps (local.get $n) (i32.const 4)))
      (if UNWINDING (then (call $push (i32.const 0))))
      (local.get $bad))"#;

#[test]
fn a_guest_that_owns_all_of_its_memory_has_it_for_itself() {
    let engine = Engine::default();
    let stack =
        r#"(global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 1024))"#;
    for policy in [None, Some(StackPolicy::Separate), Some(StackPolicy::Copied)] {
        for name in ["fresh", "sparse", "full"] {
            let desk = Desk::new();
            let module = module(&engine, &format!("{WAIT} {OWNER} {stack}"));
            let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
            let builder = policy.into_iter().fold(builder, Builder::stack_policy);
            let guest = block_on(builder.trust_instrumentation().instantiate()).unwrap();
            let mut run = call(&guest, name, 256 << 10);
            park(&mut run);
            desk.answer(1);
            if name != "fresh" {
                park(&mut run);
                desk.answer(2);
            }
            assert_eq!(ends(&mut run), (0,), "{policy:?} {name}");
        }
    }
}

/// `work(x)` writes all of its slot, waits with `x + 1` words for a frame, looks at each byte of the
/// slot, and writes it anew. The slots are all of the memory.
const WORK: &str = r#"
    (memory (export "memory") 2)
    (func (export "work") (param $x i32) (result i32) (local $i i32) (local $answer i32)
      (if REWINDING
        (then
          (local.set $x (call $pop))
          (local.set $i (local.get $x))
          (block $done (loop $again
            (br_if $done (i32.eqz (local.get $i)))
            (if (i32.ne (call $pop) (i32.const -1)) (then unreachable))
            (local.set $i (i32.sub (local.get $i) (i32.const 1)))
            (br $again))))
        (else (memory.fill
          (i32.shl (local.get $x) (i32.const 12)) (i32.add (local.get $x) (i32.const 1)) (i32.const 4096))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then
        (block $done (loop $again
          (br_if $done (i32.eq (local.get $i) (local.get $x)))
          (call $push (i32.const -1))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $again)))
        (call $push (local.get $x))
        (return (i32.const 0))))
      (local.set $i (i32.const 0))
      (loop $again
        (if (i32.ne
              (i32.load8_u (i32.add (i32.shl (local.get $x) (i32.const 12)) (local.get $i)))
              (i32.add (local.get $x) (i32.const 1)))
          (then unreachable))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4096))))
      (memory.fill
        (i32.shl (local.get $x) (i32.const 12)) (i32.add (local.get $x) (i32.const 101)) (i32.const 4096))
      (i32.add (local.get $answer) (local.get $x)))"#;

const SLOTS: usize = 32;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// As in a guest whose imports answer at once, whatever the order: after each step, the memory
    /// holds what the guest has written, and no other byte.
    #[test]
    fn the_memory_is_the_guests_at_every_moment(
        window in 256_u64..6_000,
        steps in prop::collection::vec((0_usize..SLOTS, 0_u8..8), 1..60),
    ) {
        let desk = Desk::new();
        let engine = Engine::default();
        let module = module(&engine, &format!("{WAIT} {WORK}"));
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).window_size(window);
        let guest = block_on(builder.instantiate()).unwrap();
        let mut model = vec![0; SLOTS << 12];
        let mut calls: [_; SLOTS] = std::array::from_fn(|_| None);
        for (x, step) in steps {
            let (tag, byte) = (i32::try_from(x).unwrap(), u8::try_from(x).unwrap());
            let mut write = |value| model[x << 12..(x + 1) << 12].fill(value);
            match (step, calls[x].take()) {
                (7, call) => {
                    calls[x] = call;
                    let pages = guest.try_with(|cx| cx.grow_memory(1)).unwrap();
                    prop_assert!(pages.is_some());
                    model.resize(model.len() + (64 << 10), 0);
                }
                (6, call) => drop(call),
                (_, None) => {
                    let mut work = call(&guest, "work", tag);
                    park(&mut work);
                    calls[x] = Some(work);
                    write(byte + 1);
                }
                (_, Some(mut work)) => {
                    desk.answer(tag);
                    prop_assert_eq!(ends(&mut work), (answer(tag) + tag,));
                    write(byte + 101);
                }
            }
            prop_assert!(memory(&guest) == model);
        }
    }
}
