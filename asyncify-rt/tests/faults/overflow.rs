//! Calls that need more shadow stack than there is: stopped before they write below it.

use asyncify_rt::{Builder, Call, Error, Guest, Place, StackPolicy, Trap};
use proptest::prelude::*;
use wasmtime::{Engine, FuncType};

use crate::common::{Desk, WAIT, block_on, call, ends, fails, module, park, poll};

/// A stack from 16384 down to data that ends at 4112. `keep(x)` fills a frame of 256 bytes with `x`,
/// waits, and returns their sum; `deep(n)` has n + 1 frames of 256 bytes, each of which is written
/// all over; `fails(n)` has too, and the host ends it at the bottom; `large(n)` has one frame of n
/// bytes, by a masked size, and `huge` one of 60,000, in one constant. `leaps(n)` lowers the pointer
/// by n as C's helper `stackAlloc` does. `traps` traps by itself.
const GUEST: &str = r#"
    (import "env" "fail" (func $fail))
    (memory (export "memory") 4)
    (data (i32.const 4096) "what lies below.")
    (global $__stack_pointer (mut i32) (i32.const 16384))
    (func $fill (param $at i32) (param $with i32) (param $len i32)
      (memory.fill (local.get $at) (local.get $with) (local.get $len)))
    (func $keep (export "keep") (param $x i32) (result i32)
      (local $f i32) (local $i i32) (local $sum i32)
      (if REWINDING
        (then (local.set $f (call $pop)))
        (else
          (global.set $__stack_pointer
            (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
          (call $fill (local.get $f) (local.get $x) (i32.const 256))))
      (drop (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $f)) (return (i32.const 0))))
      (loop $add
        (local.set $sum (i32.add (local.get $sum)
          (i32.load8_u (i32.add (local.get $f) (local.get $i)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $add (i32.lt_u (local.get $i) (i32.const 256))))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (local.get $sum))
    (func $deep (export "deep") (param $n i32) (result i32) (local $f i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
      (call $fill (local.get $f) (i32.const 255) (i32.const 256))
      (if (local.get $n)
        (then (local.set $n (i32.add (call $deep (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))))
      (global.set $__stack_pointer (i32.add (local.get $f) (i32.const 256)))
      (local.get $n))
    (func $fails (export "fails") (param $n i32) (result i32) (local $f i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 256))))
      (call $fill (local.get $f) (i32.const 255) (i32.const 256))
      (if (local.get $n)
        (then (drop (call $fails (i32.sub (local.get $n) (i32.const 1)))))
        (else (call $fail)))
      unreachable)
    (func (export "large") (param $n i32) (result i32) (local $f i32) (local $before i32)
      (local.set $before (global.get $__stack_pointer))
      (global.set $__stack_pointer (local.tee $f
        (i32.and (i32.sub (global.get $__stack_pointer) (local.get $n)) (i32.const -16))))
      (call $fill (local.get $f) (i32.const 255) (local.get $n))
      (global.set $__stack_pointer (local.get $before))
      (local.get $n))
    (func (export "huge") (param i32) (result i32) (local $f i32)
      (global.set $__stack_pointer
        (local.tee $f (i32.sub (global.get $__stack_pointer) (i32.const 60000))))
      (call $fill (local.get $f) (i32.const 255) (i32.const 60000))
      unreachable)
    (func $leaps (export "leaps") (param $n i32) (result i32)
      (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (local.get $n)))
      (global.get $__stack_pointer))
    (func (export "traps") (param i32) (result i32) unreachable)
    (func (export "pointer") (result i32) (global.get $__stack_pointer))"#;

const MAIN: u64 = 16384 - 4112;

struct Stacks {
    guest: Guest,
    desk: Desk,
}

fn stacks(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Stacks {
    let (engine, desk) = (Engine::default(), Desk::new());
    let module = module(&engine, &format!("{WAIT} {GUEST}"));
    let mut imports = desk.imports(&engine);
    let ty = FuncType::new(&engine, [], []);
    imports.define_plain("env", "fail", ty, |_, _| Err(Trap::new("no more")));
    let place = Place::Range(65536..4 * 65536);
    let builder = Guest::builder(&module).async_imports(imports).place(place).window_size(64);
    let guest = block_on(configure(builder).instantiate()).unwrap();
    Stacks { guest, desk }
}

impl Stacks {
    fn call(&self, name: &str, x: i32) -> Call<(i32,)> {
        call(&self.guest, name, x)
    }

    fn parked(&self, x: i32) -> Call<(i32,)> {
        let mut call = self.call("keep", x);
        park(&mut call);
        call
    }

    /// Ends a call of `keep`, whose frame must be whole.
    fn ends_whole(&self, mut call: Call<(i32,)>, x: i32) {
        self.desk.answer(x);
        assert_eq!(ends(&mut call), (256 * x,));
    }

    /// Asserts that nothing but stacks was written.
    fn is_whole(&self) {
        let (below, poisoned) = self
            .guest
            .try_with(|cx| cx.read(4096, 16).unwrap().to_vec())
            .map(|below| (below, block_on(self.guest.is_poisoned()).unwrap()))
            .unwrap();
        assert_eq!((&*below, poisoned), (&b"what lies below."[..], false));
    }

    fn pointer(&self) -> i32 {
        self.guest.try_with(|cx| cx.call::<(), i32>("pointer", ())).unwrap().unwrap()
    }
}

/// The function, both sizes, and whether it was in a region.
fn overflow(error: &Error) -> (&str, u64, u64, bool) {
    match error {
        Error::ShadowStackOverflow { function, needed, size, in_region, .. } => {
            (function, *needed, *size, *in_region)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_would_overrun_its_region_is_stopped_and_its_neighbours_are_whole() {
    let stacks = stacks(|builder| builder.region_size(4096));
    let kept: Vec<_> = [1, 2, 3].map(|x| (x, stacks.parked(x))).into();
    for (name, n, needed) in [
        ("deep", 300, 16 * 256),
        ("fails", 300, 16 * 256),
        ("large", 5000, 5008),
        ("huge", 0, 60_000),
        ("leaps", 4000, 4000),
    ] {
        let error = fails(&mut stacks.call(name, n));
        assert_eq!(overflow(&error), (name, needed + 128, 4096, true));
        let expected = format!(
            "`{name}` needs at least {} bytes of shadow stack, and its region has 4096; nothing was overwritten; give the regions more with `Builder::region_size`, or let calls run on the guest's own stack with `StackPolicy::Copied`",
            needed + 128
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.downcast_ref::<wasmtime::Trap>().is_some());
        stacks.is_whole();
        assert_eq!(stacks.pointer(), 16384 - 256, "as the first call left it");
        assert_eq!(ends(&mut stacks.call("deep", 10)), (10,));
    }
    for (x, call) in kept {
        stacks.ends_whole(call, x);
    }
    assert_eq!(stacks.pointer(), 16384);
}

#[test]
fn a_frame_that_just_fits_is_let_be() {
    let stacks = stacks(|builder| builder.region_size(4096));
    let main = stacks.parked(1);
    // 128 bytes at the end are for functions that write below the pointer without lowering it.
    assert_eq!(ends(&mut stacks.call("deep", 14)), (14,));
    assert_eq!(ends(&mut stacks.call("large", 4096 - 128)), (4096 - 128,));
    assert_eq!(overflow(&fails(&mut stacks.call("large", 4096 - 127))).1, 4096 + 16);
    stacks.ends_whole(main, 1);
}

#[test]
fn a_call_that_would_overrun_the_guests_own_stack_is_stopped() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let stacks = stacks(|builder| builder.stack_policy(policy));
        let error = fails(&mut stacks.call("deep", 300));
        assert_eq!(overflow(&error), ("deep", 48 * 256 + 128, MAIN, false));
        let expected = format!(
            "`deep` needs at least 12416 bytes of shadow stack, and the guest's own stack has {MAIN}; nothing was overwritten; link the guest with a larger stack (`-z stack-size=…` of wasm-ld, `-sSTACK_SIZE=…` of Emscripten), or let it recurse less"
        );
        assert_eq!(error.to_string(), expected);
        stacks.is_whole();
        // More than there are addresses below.
        assert_eq!(overflow(&fails(&mut stacks.call("huge", 0))).1, 60_128);
        assert_eq!(stacks.pointer(), 16384);
        let kept = stacks.parked(7);
        assert_eq!(
            overflow(&fails(&mut stacks.call("deep", 300))).3,
            policy == StackPolicy::Separate
        );
        stacks.is_whole();
        stacks.ends_whole(kept, 7);
    }
}

#[test]
fn a_plain_call_is_compared_with_the_stack_it_runs_on() {
    let stacks = stacks(|builder| builder.region_size(4096));
    let kept: Vec<_> = [1, 2].map(|x| (x, stacks.parked(x))).into();
    // In the region just now; and these run on the guest's own stack.
    let plain = |n: i32| stacks.guest.try_with(|cx| cx.call::<i32, i32>("deep", n)).unwrap();
    assert_eq!(plain(40).unwrap(), 40);
    assert_eq!(overflow(&plain(50).unwrap_err()), ("deep", 48 * 256 + 128, MAIN, false));
    stacks.is_whole();
    for (x, call) in kept {
        stacks.ends_whole(call, x);
    }
}

#[test]
fn a_trap_of_the_guests_own_is_no_overflow() {
    let stacks = stacks(Builder::trap_keeps_guest);
    fails(&mut stacks.call("deep", 300));
    assert!(matches!(fails(&mut stacks.call("traps", 0)), Error::Trap { .. }));
}

/// One of several calls at once, by what it does next.
#[derive(Clone, Debug)]
enum Step {
    Park,
    Resume(prop::sample::Index),
    Drop(prop::sample::Index),
    Deep(i32),
    Large(i32),
    Fails(i32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Park),
        2 => any::<prop::sample::Index>().prop_map(Step::Resume),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => (0..80).prop_map(Step::Deep),
        2 => (0..16_000).prop_map(Step::Large),
        1 => (0..80).prop_map(Step::Fails),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn in_any_order_an_overflow_ends_one_call_and_touches_no_other(
        steps in prop::collection::vec(step(), 1..40), copied in any::<bool>()
    ) {
        let policy = if copied { StackPolicy::Copied } else { StackPolicy::Separate };
        let stacks = stacks(|builder| builder.region_size(4096).stack_policy(policy));
        let mut parked: Vec<(i32, Call<(i32,)>)> = Vec::new();
        for (tag, step) in (1..).zip(steps) {
            // On the guest's own stack, unless a call is parked there.
            let room = |parked: &[(i32, Call<(i32,)>)]| if copied || parked.is_empty() { MAIN } else { 4096 };
            let least = room(&parked).min(4096) - 128;
            match step {
                Step::Park if parked.len() < 30 => parked.push((tag, stacks.parked(tag))),
                Step::Park => {}
                Step::Resume(_) | Step::Drop(_) if parked.is_empty() => {}
                Step::Resume(which) => {
                    let (tag, call) = parked.swap_remove(which.index(parked.len()));
                    stacks.ends_whole(call, tag);
                }
                Step::Drop(which) => drop(parked.swap_remove(which.index(parked.len()))),
                Step::Deep(n) => {
                    let needs = (u64::try_from(n).unwrap() + 1) * 256;
                    match poll(&mut stacks.call("deep", n)) {
                        std::task::Poll::Ready(Ok((got,))) => {
                            prop_assert_eq!(got, n);
                            prop_assert!(needs <= MAIN - 128);
                        }
                        std::task::Poll::Ready(Err(error)) => {
                            prop_assert!(needs > least);
                            prop_assert!(overflow(&error).1 <= needs + 128);
                        }
                        std::task::Poll::Pending => prop_assert!(false, "it does not wait"),
                    }
                }
                Step::Large(n) => match poll(&mut stacks.call("large", n)) {
                    std::task::Poll::Ready(Ok(_)) => prop_assert!(n <= 12_144),
                    std::task::Poll::Ready(Err(error)) => {
                        overflow(&error);
                        prop_assert!(u64::try_from(n).unwrap() > least - 16);
                    }
                    std::task::Poll::Pending => prop_assert!(false, "it does not wait"),
                },
                Step::Fails(n) => match fails(&mut stacks.call("fails", n)) {
                    Error::Host { .. } => prop_assert!(n < 48),
                    error => prop_assert!(overflow(&error).0 == "fails"),
                },
            }
            stacks.is_whole();
        }
        for (tag, call) in parked {
            stacks.ends_whole(call, tag);
        }
        stacks.is_whole();
    }
}
