//! The shadow stack: what a guest's stack pointer is after each way a call can end, and regions.

use asyncify_rt::{AsyncImports, Error, Guest, Place, StackPolicy, Trap};
use wasmtime::{Engine, ValType};

use crate::common::{
    Desk, HINT, RUN, WAIT, assert_error, block_on, call, ends, fails, import, module, park, ran,
    yield_now,
};

/// A stack from 8192 down. `framed(x)` keeps `x` there while it waits, and returns `wait(x) + x`;
/// `traps(x)` waits and traps.
const STACK: &str = r#"
    (memory 1)
    (global $__stack_pointer (mut i32) (i32.const 8192))
    (func $enter (param $x i32) (result i32)
      (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
      (i32.store (global.get $__stack_pointer) (local.get $x))
      (global.get $__stack_pointer))
    (func $framed (export "framed") (param $x i32) (result i32) (local $sp i32) (local $answer i32)
      (if REWINDING
        (then (local.set $sp (call $pop)))
        (else (local.set $sp (call $enter (local.get $x)))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $sp)) (return (i32.const 0))))
      (local.set $answer (i32.add (local.get $answer) (i32.load (local.get $sp))))
      (global.set $__stack_pointer (i32.add (local.get $sp) (i32.const 16)))
      (local.get $answer))
    (func (export "traps") (param $x i32) (result i32)
      (if REWINDING
        (then (drop (call $pop)))
        (else (drop (call $enter (local.get $x)))))
      (drop (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
      unreachable)
    (func (export "rises") (param $x i32) (result i32)
      (if REWINDING (then (drop (call $pop))))
      (global.set $__stack_pointer (i32.const 9000))
      (drop (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
      (i32.const 0))
    (func (export "pointer") (result i32) (global.get $__stack_pointer))"#;

const POLICIES: [StackPolicy; 2] = [StackPolicy::Separate, StackPolicy::Copied];

/// A guest of `STACK` with regions of 1 KiB and a small window, in a named range.
fn guest(desk: &Desk, policy: StackPolicy) -> Guest {
    guest_in(desk, policy, Place::Range(16384..65536))
}

fn guest_in(desk: &Desk, policy: StackPolicy, place: Place) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {STACK}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.stack_policy(policy).region_size(1024).window_size(64).place(place);
    block_on(builder.trap_keeps_guest().instantiate()).unwrap()
}

fn pointer(guest: &Guest) -> i32 {
    guest.try_with(|cx| cx.call::<(), i32>("pointer", ())).unwrap().unwrap()
}

#[test]
fn calls_keep_their_frames_in_either_order() {
    for policy in POLICIES {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let desk = Desk::new();
            let guest = guest(&desk, policy);
            let mut calls = [10, 11, 12].map(|x| call(&guest, "framed", x));
            calls.iter_mut().for_each(park);
            for which in order {
                let x = 10 + i32::try_from(which).unwrap();
                desk.answer(x);
                assert_eq!(ends(&mut calls[which]), (ran(x),), "{policy:?} {order:?}");
            }
            assert_eq!(pointer(&guest), 8192);
        }
    }
}

#[test]
fn plain_calls_start_below_a_parked_frame_of_the_main_stack() {
    let desk = Desk::new();
    let separate = guest(&desk, StackPolicy::Separate);
    let mut parked = call(&separate, "framed", 5);
    park(&mut parked);
    assert_eq!(pointer(&separate), 8176);
    assert_eq!(separate.try_stats().unwrap().parked_bytes, 4);
    let copied = guest(&desk, StackPolicy::Copied);
    let mut parked = call(&copied, "framed", 5);
    park(&mut parked);
    assert_eq!(pointer(&copied), 8192);
    assert_eq!(copied.try_stats().unwrap().parked_bytes, 4 + 16);
}

#[test]
fn a_dropped_call_leaves_the_stack_pointer_as_it_was() {
    for policy in POLICIES {
        let desk = Desk::new();
        let guest = guest(&desk, policy);
        let mut calls = [10, 11].map(|x| call(&guest, "framed", x));
        calls.iter_mut().for_each(park);
        drop(calls);
        assert_eq!(pointer(&guest), 8192, "{policy:?}");
        let stats = guest.try_stats().unwrap();
        assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    }
}

#[test]
fn a_trap_leaves_the_stack_pointer_as_it_was() {
    for policy in POLICIES {
        let desk = Desk::new();
        let guest = guest(&desk, policy);
        let mut traps = call(&guest, "traps", 5);
        park(&mut traps);
        let mut other = call(&guest, "traps", 6);
        park(&mut other);
        for (call, x) in [(&mut traps, 5), (&mut other, 6)] {
            desk.answer(x);
            assert!(matches!(fails(call), Error::Trap { .. }));
        }
        assert_eq!(pointer(&guest), 8192, "{policy:?}");
    }
}

#[test]
fn regions_are_used_again() {
    let desk = Desk::new();
    let guest = guest(&desk, StackPolicy::Separate);
    let mut main = call(&guest, "framed", 1);
    park(&mut main);
    for x in [10, 20, 30] {
        let mut calls = [x, x + 1].map(|x| call(&guest, "framed", x));
        calls.iter_mut().for_each(park);
        if x == 20 {
            drop(calls);
            continue;
        }
        for (call, x) in calls.iter_mut().zip([x, x + 1]) {
            desk.answer(x);
            assert_eq!(ends(call), (ran(x),));
        }
    }
    assert_eq!(guest.try_stats().unwrap().regions, 2);
    desk.answer(1);
    assert_eq!(ends(&mut main), (ran(1),));
    let mut alone = call(&guest, "framed", 2);
    park(&mut alone);
    assert_eq!(pointer(&guest), 8176, "a call that finds the main stack free takes it");
}

/// The guest, opened again.
fn guest_after(guest: &Guest) -> Guest {
    block_on(guest.clear_poison()).unwrap();
    guest.clone()
}

#[test]
fn a_region_that_has_no_room_ends_only_the_call_that_needs_it() {
    let desk = Desk::new();
    let guest = guest_in(&desk, StackPolicy::Separate, Place::Range(16384..17000));
    let mut main = call(&guest, "framed", 1);
    park(&mut main);
    assert_error!(
        fails(&mut call(&guest, "framed", 2)),
        Error::NoRoom { what: "a shadow stack region", size: 1024, .. },
        "no room for a shadow stack region of 1024 bytes in the guest: the range that was named has 472 bytes left; ask for less with `Builder::region_size`, take `StackPolicy::Copied`, which needs none, or name another place with `Builder::place`"
    );
    desk.answer(1);
    assert_eq!(ends(&mut main), (ran(1),));
    assert_eq!(pointer(&guest), 8192);
}

#[test]
fn a_region_of_any_size_may_be_asked_for() {
    let (engine, desk) = (Engine::default(), Desk::new());
    let module = module(&engine, &format!("{WAIT} {STACK}"));
    for size in [u64::MAX, u64::MAX - 15, u64::MAX - 16] {
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        let builder = builder.stack_policy(StackPolicy::Separate).region_size(size);
        let guest = block_on(builder.instantiate()).unwrap();
        park(&mut call(&guest, "framed", 1));
        let mut main = call(&guest, "framed", 1);
        park(&mut main);
        let error = fails(&mut call(&guest, "framed", 2));
        assert!(matches!(error, Error::NoRoom { what: "a shadow stack region", .. }), "{error:?}");
    }
}

#[test]
fn a_stack_pointer_above_where_the_call_began_cannot_be_copied() {
    let desk = Desk::new();
    let guest = guest(&desk, StackPolicy::Copied);
    assert_error!(
        fails(&mut call(&guest, "rises", 5)),
        Error::StateOutOfStep { function, .. } if function == "rises",
        format!("`rises`: the stack pointer is 0x2328, above 0x2000, where the call began; it may be that {HINT}")
    );
    assert_eq!(pointer(&guest_after(&guest)), 8192);
}

/// Either global may be a stack pointer.
const TWO: &str = r"(memory 1)
    (global $a (mut i32) (i32.const 1024)) (global $b (mut i32) (i32.const 2048))
    (func (global.set $a (i32.sub (global.get $a) (i32.const 16)))
      (global.set $b (i32.sub (global.get $b) (i32.const 16))) unreachable)";
const REASON: &str =
    "it may be global 0 (`a`), which starts at 0x400, or global 1 (`b`), which starts at 0x800";

#[test]
fn an_uncertain_stack_pointer_lets_one_call_park_at_a_time() {
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {TWO} {RUN}"));
    let build = || Guest::builder(&module).async_imports(desk.imports(&engine));
    let guest = block_on(build().instantiate()).unwrap();
    let mut first = call(&guest, "run", 1);
    park(&mut first);
    assert_error!(
        fails(&mut call(&guest, "run", 2)),
        Error::StackPointerUncertain { import, reason, collector: None } if import == "env.wait" && reason == REASON,
        format!("`env.wait` cannot suspend a second call: {REASON}; name the stack pointer with `Builder::stack_pointer`, say with `Builder::no_stack_pointer` that there is none, or let one call suspend at a time, which `StackPolicy::Exclusive` sees to")
    );
    desk.answer(3);
    assert_eq!(ends(&mut call(&guest, "run", 3)), (ran(3),), "a call that does not wait may run");
    desk.answer(1);
    assert_eq!(ends(&mut first), (ran(1),));
    let mut third = call(&guest, "run", 4);
    park(&mut third);
    desk.answer(4);
    assert_eq!(ends(&mut third), (ran(4),));

    for known in
        [build().stack_pointer("b"), build().stack_pointer("0"), build().no_stack_pointer()]
    {
        let guest = block_on(known.instantiate()).unwrap();
        let mut calls = [5, 6].map(|x| call(&guest, "run", x));
        calls.iter_mut().for_each(park);
        for (call, x) in calls.iter_mut().zip([5, 6]) {
            desk.answer(x);
            assert_eq!(ends(call), (ran(x),));
        }
    }
    assert_error!(
        block_on(build().stack_pointer("c").instantiate()).unwrap_err(),
        Error::Config(_),
        "the module has no mutable global `c`"
    );
}

#[test]
fn a_global_that_holds_no_address_is_no_stack_pointer() {
    let desk = Desk::new();
    let engine = Engine::default();
    for (ty, start) in [("f32", "f32.const 1"), ("i64", "i64.const 1024")] {
        let global = format!("(memory 1) (global $c (mut {ty}) ({start}))");
        let module = module(&engine, &format!("{WAIT} {global} {RUN}"));
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        assert_error!(
            block_on(builder.stack_pointer("c").instantiate()).unwrap_err(),
            Error::Config(_),
            "the global `c` is no stack pointer: that is of type i32, as the guest's addresses are"
        );
    }
}

#[test]
fn a_dropped_call_poisons_where_its_shadow_stack_cannot_be_freed() {
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {TWO} {RUN}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let guest = block_on(builder.instantiate()).unwrap();
    let mut first = call(&guest, "run", 1);
    park(&mut first);
    drop(first);
    let error = fails(&mut call(&guest, "run", 2));
    let reason = "a call was dropped while it was parked, and its shadow stack cannot be freed";
    assert!(matches!(&error, Error::Poisoned { cause } if cause == reason), "{error:?}");
}

/// What a call that ends early has on its shadow stack stays there, so the guest is told.
#[test]
fn a_call_that_is_ended_poisons_where_its_shadow_stack_cannot_be_freed() {
    let engine = Engine::default();
    let fields = r#"(func (export "trap") (param i32) (result i32) unreachable)"#;
    let module = module(&engine, &format!("{WAIT} {TWO} {RUN} {fields}"));
    let failing = |yields: u32| {
        let mut imports = AsyncImports::new();
        import(
            &mut imports,
            &engine,
            "wait",
            &[ValType::I32],
            &[ValType::I32],
            move |_| async move {
                for _ in 0..yields {
                    yield_now().await;
                }
                Err(Trap::new("no more"))
            },
        );
        imports
    };
    let ended = |guest: &Guest, name: &str| {
        let ended = block_on(call(guest, name, 1)).unwrap_err();
        assert!(matches!(ended, Error::Host { .. } | Error::Trap { .. }), "{ended:?}");
        match fails(&mut call(guest, "run", 2)) {
            Error::Poisoned { cause } => cause,
            other => panic!("{other:?}"),
        }
    };
    let lost = "and its shadow stack cannot be freed";
    for yields in [0, 1] {
        let build = || Guest::builder(&module).async_imports(failing(yields)).trap_keeps_guest();
        let guest = block_on(build().instantiate()).unwrap();
        assert_eq!(ended(&guest, "run"), format!("`run` was ended by the host: no more, {lost}"));
        block_on(guest.clear_poison()).unwrap();
        let cause = ended(&guest, "trap");
        assert!(cause.starts_with("`trap` trapped: ") && cause.ends_with(lost), "{cause}");
        // Where the pointer is known, it is put back.
        let guest = block_on(build().stack_pointer("b").instantiate()).unwrap();
        block_on(call(&guest, "run", 1)).unwrap_err();
        assert!(!block_on(guest.is_poisoned()).unwrap());
    }
}
