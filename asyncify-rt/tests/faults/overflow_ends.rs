//! Calls that need more shadow stack than there is, where addresses end: a stack at the memory's
//! beginning, sizes of nearly all addresses, and memories of 64 bits.

use asyncify_rt::{Call, Error, Guest, Module, Place, StackPolicy};
use wasmtime::Engine;

use crate::common::{Desk, WAIT, answer, block_on, call, ends, fails, park};

/// A stack that lies first, from 2048 down, with data above it. `frame(n)` has a frame of `n` bytes,
/// by a masked size, and writes at its lowest address only; `derived(n)` has one of 16 bytes before,
/// and takes from that; `constant` has one of 4096, and `deep(n)` n + 1 of
/// 256. `keep(x)` waits above a frame of 256 bytes, filled with `x`, and returns the answer and their sum.
const GUEST: &str = r#"
    (memory (export "memory") PAGES)
    (data (PTR.const 2048) "what lies above.")
    (global $__stack_pointer (mut PTR) (PTR.const 2048))
    (func $sum (param $at PTR) (result i32) (local $sum i32) (local $len PTR)
      (local.set $len (PTR.const 256))
      (loop $add
        (local.set $len (PTR.sub (local.get $len) (PTR.const 1)))
        (local.set $sum (i32.add (local.get $sum)
          (i32.load8_u (PTR.add (local.get $at) (local.get $len)))))
        (br_if $add (i32.eqz (PTR.eqz (local.get $len)))))
      (local.get $sum))
    (func (export "keep") (param $x i32) (result i32) (local $f PTR) (local $answer i32)
      (if REWINDING
        (then (local.set $f (TO (call $pop))))
        (else
          (global.set $__stack_pointer
            (local.tee $f (PTR.sub (global.get $__stack_pointer) (PTR.const 256))))
          (memory.fill (local.get $f) (local.get $x) (PTR.const 256))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (FROM (local.get $f))) (return (i32.const 0))))
      (global.set $__stack_pointer (PTR.add (local.get $f) (PTR.const 256)))
      (i32.add (local.get $answer) (call $sum (local.get $f))))
    (func (export "frame") (param $n i32) (result i32) (local $f PTR) (local $before PTR)
      (local.set $before (global.get $__stack_pointer))
      (global.set $__stack_pointer (local.tee $f
        (PTR.and (PTR.sub (global.get $__stack_pointer) (SIGNED (local.get $n))) (PTR.const -16))))
      (i32.store (local.get $f) (i32.const -1))
      (global.set $__stack_pointer (local.get $before))
      (local.get $n))
    (func (export "derived") (param $n i32) (result i32) (local $f PTR) (local $g PTR)
      (global.set $__stack_pointer
        (local.tee $f (PTR.sub (global.get $__stack_pointer) (PTR.const 16))))
      (if (local.get $n) (then
        (global.set $__stack_pointer (local.tee $g
          (PTR.sub (global.get $__stack_pointer)
            (PTR.and (SIGNED (local.get $n)) (PTR.const -16)))))
        (i32.store (local.get $g) (i32.const -1))))
      (global.set $__stack_pointer (PTR.add (local.get $f) (PTR.const 16)))
      (local.get $n))
    (func (export "constant") (param i32) (result i32) (local $f PTR)
      (global.set $__stack_pointer
        (local.tee $f (PTR.sub (global.get $__stack_pointer) (PTR.const 4096))))
      (i32.store (local.get $f) (i32.const -1))
      (global.set $__stack_pointer (PTR.add (local.get $f) (PTR.const 4096)))
      (local.get 0))
    (func $deep (export "deep") (param $n i32) (result i32) (local $f PTR)
      (global.set $__stack_pointer
        (local.tee $f (PTR.sub (global.get $__stack_pointer) (PTR.const 256))))
      (memory.fill (local.get $f) (i32.const 255) (PTR.const 256))
      (if (local.get $n)
        (then (drop (call $deep (i32.sub (local.get $n) (i32.const 1))))))
      (global.set $__stack_pointer (PTR.add (local.get $f) (PTR.const 256)))
      (local.get $n))
    (func (export "pointer") (result PTR) (global.get $__stack_pointer))"#;

/// [`GUEST`] with Asyncify's parts, for pointers of either width; `$push` and `$pop` move 32 bits.
fn module(engine: &Engine, is_64: bool) -> Module {
    let same = "(i32.or (i32.const 0) ";
    let [pointer, pages, end, to, from, signed] = if is_64 {
        ["i64", "i64 4", "8", "(i64.extend_i32_u ", "(i32.wrap_i64 ", "(i64.extend_i32_s "]
    } else {
        ["i32", "4", "4", same, same, same]
    };
    let check = "(if (PTR.gt_u (PTR.load (global.get $data)) (PTR.load offset=END (global.get $data))) (then unreachable))";
    let text = format!(
        r#"(module {WAIT} {GUEST}
        (global $state (mut i32) (i32.const 0))
        (global $data (mut PTR) (PTR.const 0))
        (func $push (param i32)
          (i32.store (PTR.load (global.get $data)) (local.get 0))
          (PTR.store (global.get $data) (PTR.add (PTR.load (global.get $data)) (PTR.const 4))))
        (func $pop (result i32)
          (PTR.store (global.get $data) (PTR.sub (PTR.load (global.get $data)) (PTR.const 4)))
          (i32.load (PTR.load (global.get $data))))
        (func (export "asyncify_start_unwind") (param PTR)
          (global.set $state (i32.const 1)) (global.set $data (local.get 0)) {check})
        (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)) {check})
        (func (export "asyncify_start_rewind") (param PTR)
          (global.set $state (i32.const 2)) (global.set $data (local.get 0)) {check})
        (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)) {check})
        (func (export "asyncify_get_state") (result i32) (global.get $state)))"#
    );
    let text = text
        .replace("UNWINDING", "(i32.eq (global.get $state) (i32.const 1))")
        .replace("REWINDING", "(i32.eq (global.get $state) (i32.const 2))")
        .replace("(TO ", to)
        .replace("(FROM ", from)
        .replace("(SIGNED ", signed)
        .replace("END", end)
        .replace("PAGES", pages)
        .replace("PTR", pointer);
    Module::new(engine, text).unwrap()
}

struct Stack {
    guest: Guest,
    desk: Desk,
    is_64: bool,
}

const WIDTHS: [bool; 2] = [false, true];

impl Stack {
    fn new(is_64: bool, policy: StackPolicy) -> Self {
        let (engine, desk) = (Engine::default(), Desk::new());
        let builder = Guest::builder(&module(&engine, is_64))
            .async_imports(desk.imports(&engine))
            .place(Place::Range(65536..4 * 65536))
            .stack_policy(policy)
            .region_size(4096)
            .window_size(64);
        Self { guest: block_on(builder.instantiate()).unwrap(), desk, is_64 }
    }

    fn keeps(&self, x: i32) -> Call<(i32,)> {
        let mut call = call(&self.guest, "keep", x);
        park(&mut call);
        call
    }

    fn ends(&self, mut call: Call<(i32,)>, x: i32) {
        self.desk.answer(x);
        assert_eq!(ends(&mut call), (answer(x) + 256 * x,));
    }

    /// Asserts that the call is stopped, and nothing but the stack was written.
    fn stops(&self, name: &str, n: i32, needed: u64, size: u64) {
        match fails(&mut call(&self.guest, name, n)) {
            Error::ShadowStackOverflow { function, needed: wanted, size: found, .. } => {
                assert_eq!((&*function, wanted, found), (name, needed, size), "{n}");
            }
            other => panic!("{name}({n}): {other:?}"),
        }
        let above = self.guest.try_with(|cx| cx.read(2048, 16).unwrap().to_vec()).unwrap();
        assert_eq!(above, b"what lies above.");
        assert!(!block_on(self.guest.is_poisoned()).unwrap());
    }

    /// All addresses but 64, and `more`, as far as that can be counted.
    fn most(&self, more: u64) -> u64 {
        if self.is_64 { (u64::MAX - 63).saturating_add(more) } else { (1 << 32) - 64 + more }
    }

    fn fits(&self, name: &str, n: i32) {
        assert_eq!(ends(&mut call(&self.guest, name, n)), (n,), "{name}");
    }

    fn pointer(&self) -> i64 {
        let pointer = self.guest.try_with(|cx| {
            if self.is_64 {
                cx.call::<(), i64>("pointer", ())
            } else {
                cx.call::<(), i32>("pointer", ()).map(i64::from)
            }
        });
        pointer.unwrap().unwrap()
    }
}

/// Below it there is nothing: a pointer that is lowered too far wraps around, and is large.
#[test]
fn a_stack_at_the_memorys_beginning_cannot_be_run_over() {
    for is_64 in WIDTHS {
        let stack = Stack::new(is_64, StackPolicy::Separate);
        for _ in 0..2 {
            stack.fits("deep", 7);
            stack.fits("frame", 2048);
            stack.fits("derived", 2032);
            stack.stops("deep", 300, 9 * 256 + 128, 2048);
            stack.stops("constant", 0, 4096 + 128, 2048);
            stack.stops("frame", 2049, 2064 + 128, 2048);
            stack.stops("frame", 4096, 4096 + 128, 2048);
            stack.stops("derived", 2048, 2064 + 128, 2048);
            assert_eq!(stack.pointer(), 2048);
        }
    }
}

/// A size of nearly all addresses is the same as a small step upwards, and is stopped as what it is.
#[test]
fn a_frame_of_nearly_all_addresses_is_stopped() {
    for is_64 in WIDTHS {
        for policy in [StackPolicy::Separate, StackPolicy::Copied] {
            let stack = Stack::new(is_64, policy);
            stack.stops("frame", -64, stack.most(128), 2048);
            stack.stops("derived", -64, stack.most(16 + 128), 2048);
            let kept = stack.keeps(3);
            let size = if policy == StackPolicy::Copied { 2048 } else { 4096 };
            stack.stops("frame", -64, stack.most(128), size);
            stack.stops("derived", -64, stack.most(16 + 128), size);
            stack.ends(kept, 3);
            assert_eq!(stack.pointer(), 2048);
        }
    }
}

#[test]
fn a_call_that_would_overrun_its_region_is_stopped_in_memories_of_either_width() {
    for is_64 in WIDTHS {
        let stack = Stack::new(is_64, StackPolicy::Separate);
        let kept: Vec<_> = (1..4).map(|x| (x, stack.keeps(x))).collect();
        stack.fits("deep", 14);
        stack.fits("frame", 4096 - 128);
        stack.stops("deep", 300, 16 * 256 + 128, 4096);
        stack.stops("constant", 0, 4096 + 128, 4096);
        stack.stops("frame", 4096, 4096 + 128, 4096);
        stack.stops("frame", 1 << 20, (1 << 20) + 128, 4096);
        stack.stops("derived", 4096, 4096 + 16 + 128, 4096);
        for (x, call) in kept {
            stack.ends(call, x);
        }
        assert_eq!(stack.pointer(), 2048);
    }
}
