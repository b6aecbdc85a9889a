//! Guests that move their stack pointer to stacks of their own, as coroutines do, and back, as
//! `longjmp` does: the code that keeps calls within their stacks does not stop them.

use asyncify_rt::{Builder, Call, Guest, Place, StackPolicy};
use proptest::prelude::*;
use wasmtime::Engine;

use crate::common::{Desk, WAIT, answer, block_on, ends, module, park};

/// A stack from 16384 down to data that ends at 4112. `deep(n, x)` has n + 1 frames of 256 bytes and
/// one of 150, by a masked size, `x` all over, and returns their sum. The others keep a frame of 256
/// bytes where they are called, filled with `x`:
///
/// - `visits(top, x)` calls `deep(3, x + 1)` on the stack that begins at `top`;
/// - `waits(top, x)` waits in a frame on that stack, filled with `x + 1`;
/// - `alternates(top, x)` goes to that stack, back and there again, with a frame more each time, and
///   keeps where it was in memory, as switches of context do;
/// - `jumps(n, x)` calls n functions whose frames are given up at once, by a value from memory.
///
/// `waits(0, x)` stays on the stack it is on.
const GUEST: &str = r#"
    (memory (export "memory") 6)
    (data (i32.const 4096) "what lies below.")
    (global $__stack_pointer (mut i32) (i32.const 16384))
    (func $fill (param $at i32) (param $with i32) (param $len i32)
      (memory.fill (local.get $at) (local.get $with) (local.get $len)))
    (func $sum (param $at i32) (param $len i32) (result i32) (local $sum i32)
      (loop $add
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (local.set $sum (i32.add (local.get $sum)
          (i32.load8_u (i32.add (local.get $at) (local.get $len)))))
        (br_if $add (local.get $len)))
      (local.get $sum))
    (func $sized (param $n i32) (param $x i32) (result i32) (local $f i32) (local $before i32)
      (local.set $before (global.get $__stack_pointer))
      (global.set $__stack_pointer (local.tee $f
        (i32.and (i32.sub (local.get $before) (local.get $n)) (i32.const -16))))
      (call $fill (local.get $f) (local.get $x) (local.get $n))
      (call $sum (local.get $f) (local.get $n))
      (global.set $__stack_pointer (local.get $before)))
    (func $deep (export "deep") (param $n i32) (param $x i32) (result i32)
      (local $f i32) (local $sum i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
      (call $fill (local.get $f) (local.get $x) (i32.const 256))
      (local.set $sum (if (result i32) (local.get $n)
        (then (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $x)))
        (else (call $sized (i32.const 150) (local.get $x)))))
      (local.set $sum (i32.add (local.get $sum) (call $sum (local.get $f) (i32.const 256))))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (local.get $sum))
    (func (export "visits") (param $top i32) (param $x i32) (result i32)
      (local $f i32) (local $sum i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
      (call $fill (local.get $f) (local.get $x) (i32.const 256))
      (global.set $__stack_pointer (local.get $top))
      (local.set $sum (call $deep (i32.const 3) (i32.add (local.get $x) (i32.const 1))))
      (global.set $__stack_pointer (local.get $f))
      (local.set $sum (i32.add (local.get $sum) (call $sum (local.get $f) (i32.const 256))))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (local.get $sum))
    (func $waits (export "waits") (param $top i32) (param $x i32) (result i32)
      (local $f i32) (local $g i32) (local $answer i32)
      (if REWINDING
        (then (local.set $g (call $pop)) (local.set $f (call $pop)) (local.set $x (call $pop)))
        (else
          (global.set $__stack_pointer
            (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
          (call $fill (local.get $f) (local.get $x) (i32.const 256))
          (if (local.get $top) (then (global.set $__stack_pointer (local.get $top))))
          (global.set $__stack_pointer
            (local.tee $g (i32.sub (global.get $__stack_pointer) (i32.const 256))))
          (call $fill (local.get $g) (i32.add (local.get $x) (i32.const 1)) (i32.const 256))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING
        (then (call $push (local.get $x)) (call $push (local.get $f)) (call $push (local.get $g))
          (return (i32.const 0))))
      (local.set $answer (i32.add (local.get $answer)
        (i32.add (call $sum (local.get $g) (i32.const 256)) (call $deep (i32.const 1) (local.get $x)))))
      (global.set $__stack_pointer (local.get $f))
      (local.set $answer (i32.add (local.get $answer) (call $sum (local.get $f) (i32.const 256))))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (local.get $answer))
    (func $switch (param $from i32) (param $to i32)
      (i32.store (local.get $from) (global.get $__stack_pointer))
      (global.set $__stack_pointer (i32.load (local.get $to))))
    (func $frame (param $x i32) (result i32) (local $f i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
      (call $fill (local.get $f) (local.get $x) (i32.const 256))
      (local.get $f))
    (func (export "alternates") (param $top i32) (param $x i32) (result i32)
      (local $before i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
      (local.set $before (global.get $__stack_pointer))
      (i32.store (i32.const 2052) (local.get $top))
      (local.set $a (call $frame (local.get $x)))
      (call $switch (i32.const 2048) (i32.const 2052))
      (local.set $b (call $frame (i32.add (local.get $x) (i32.const 1))))
      (call $switch (i32.const 2052) (i32.const 2048))
      (local.set $c (call $frame (i32.add (local.get $x) (i32.const 2))))
      (call $switch (i32.const 2048) (i32.const 2052))
      (local.set $d (call $frame (i32.add (local.get $x) (i32.const 3))))
      (call $switch (i32.const 2052) (i32.const 2048))
      (global.set $__stack_pointer (local.get $before))
      (i32.add
        (i32.add (call $sum (local.get $a) (i32.const 256)) (call $sum (local.get $b) (i32.const 256)))
        (i32.add (call $sum (local.get $c) (i32.const 256)) (call $sum (local.get $d) (i32.const 256)))))
    (func $descends (param $n i32)
      (drop (call $frame (i32.const 255)))
      (if (local.get $n)
        (then (call $descends (i32.sub (local.get $n) (i32.const 1))))
        (else (global.set $__stack_pointer (i32.load (i32.const 2048))))))
    (func (export "jumps") (param $n i32) (param $x i32) (result i32) (local $f i32)
      (local.set $f (call $frame (local.get $x)))
      (i32.store (i32.const 2048) (global.get $__stack_pointer))
      (call $descends (local.get $n))
      (if (i32.ne (global.get $__stack_pointer) (local.get $f)) (then unreachable))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (call $sum (local.get $f) (i32.const 256)))
    (func (export "pointer") (result i32) (global.get $__stack_pointer))"#;

/// Where the guest's other stacks begin: below all that a call is given, between the guest's own
/// stack and the regions, and above the regions.
const TOPS: [i32; 3] = [4096, 49152, 6 * 65536];

/// The sum of `deep(n, x)`.
fn deep(n: i32, x: i32) -> i32 {
    (256 * (n + 1) + 150) * x
}

/// The sum of `waits(top, x)`, wherever that is.
fn waited(x: i32) -> i32 {
    answer(x) + 256 * (2 * x + 1) + deep(1, x)
}

struct Stacks {
    guest: Guest,
    desk: Desk,
}

impl Stacks {
    fn new(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Self {
        let (engine, desk) = (Engine::default(), Desk::new());
        let module = module(&engine, &format!("{WAIT} {GUEST}"));
        let builder = Guest::builder(&module)
            .async_imports(desk.imports(&engine))
            .place(Place::Range(65536..4 * 65536))
            .region_size(4096)
            .window_size(64);
        let guest = block_on(configure(builder).instantiate()).unwrap();
        Self { guest, desk }
    }

    fn call(&self, name: &str, a: i32, x: i32) -> Call<(i32,)> {
        self.guest.all_exports().typed::<(i32, i32), (i32,)>(name).unwrap().call((a, x))
    }

    fn keeps(&self, x: i32) -> Call<(i32,)> {
        self.waits(0, x)
    }

    fn waits(&self, top: i32, x: i32) -> Call<(i32,)> {
        let mut call = self.call("waits", top, x);
        park(&mut call);
        call
    }

    fn ends(&self, mut call: Call<(i32,)>, x: i32) {
        self.desk.answer(x);
        assert_eq!(ends(&mut call), (waited(x),));
    }

    /// Runs all that switches stacks and does not wait.
    fn switches(&self, top: i32, x: i32) {
        let before = self.pointer();
        let frame = 256 * x;
        assert_eq!(ends(&mut self.call("visits", top, x)), (frame + deep(3, x + 1),));
        assert_eq!(ends(&mut self.call("alternates", top, x)), (4 * frame + 256 * 6,));
        assert_eq!(ends(&mut self.call("jumps", 9, x)), (frame,));
        assert_eq!(ends(&mut self.call("deep", 9, x)), (deep(9, x),));
        assert_eq!(self.pointer(), before);
    }

    fn pointer(&self) -> i32 {
        self.guest.try_with(|cx| cx.call::<(), i32>("pointer", ())).unwrap().unwrap()
    }

    fn is_whole(&self) {
        let below = self.guest.try_with(|cx| cx.read(4096, 16).unwrap().to_vec()).unwrap();
        assert_eq!(below, b"what lies below.");
        assert!(!block_on(self.guest.is_poisoned()).unwrap());
    }
}

#[test]
fn a_guest_that_switches_stacks_is_not_stopped_whatever_is_parked() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        for parked in 0..4 {
            let stacks = Stacks::new(|builder| builder.stack_policy(policy));
            let kept: Vec<_> = (0..parked).map(|x| (x, stacks.keeps(x))).collect();
            for top in TOPS {
                stacks.switches(top, 20);
            }
            for (x, call) in kept {
                stacks.ends(call, x);
                stacks.switches(TOPS[0], 30);
            }
            stacks.is_whole();
            assert_eq!(stacks.pointer(), 16384);
        }
    }
}

#[test]
fn calls_wait_on_stacks_of_the_guests_own_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let stacks = Stacks::new(|builder| builder);
        // The first waits on the guest's own stack, the others were called in regions.
        let mut calls = vec![Some((7, stacks.keeps(7)))];
        for (x, top) in (10..).zip(TOPS) {
            calls.push(Some((x, stacks.waits(top, x))));
            // Beside the frames of the one that waits there.
            stacks.switches(top - 512, 40);
        }
        for which in order {
            let (x, call) = calls[which].take().unwrap();
            stacks.ends(call, x);
            stacks.switches(TOPS[1] - 512, 50);
        }
        stacks.is_whole();
        assert_eq!(stacks.pointer(), 16384);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any place that a stack is at, whether the call that goes there is in a region or not.
    #[test]
    fn a_stack_may_lie_anywhere(
        page in prop_oneof![Just(0_i32), Just(4), Just(5)], at in 1_i32..512, x in 1_i32..100,
        parked in 0_i32..3, copied in any::<bool>()
    ) {
        let top = page * 65536 + 16384 + 2048 + 16 * at * 5;
        let policy = if copied { StackPolicy::Copied } else { StackPolicy::Separate };
        let stacks = Stacks::new(|builder| builder.stack_policy(policy));
        let kept: Vec<_> = (0..parked).map(|x| (x, stacks.keeps(x))).collect();
        stacks.switches(top, x);
        for (x, call) in kept {
            stacks.ends(call, x);
        }
        stacks.is_whole();
    }
}
