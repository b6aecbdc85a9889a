//! What a poisoned guest tells, and panics of host functions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};

use asyncify_rt::private::{Direct, ParamInfo, Val as ByValue};
use asyncify_rt::{AsyncImports, Error, Guest, ImportInfo};
use wasmtime::{Engine, FuncType, ValType};

use crate::common::{
    Desk, RUN, WAIT, Wakes, assert_error, block_on, call, ends, fails, guest_with, import,
    instantiate, module, park, poll, poll_with, ran, trust, yield_now,
};

const TRAP: &str = r#"(func (export "trap") (param i32) (result i32) unreachable)"#;

/// The text of `Error::Poisoned`.
fn poisoned(cause: &str) -> String {
    format!(
        "the guest is poisoned: {cause}; start a new one, or open it for new calls with `Guest::clear_poison`"
    )
}

const CAUSE: &str = "`trap` trapped: wasm `unreachable` instruction executed";

#[test]
fn a_trap_poisons_parked_and_later_calls_with_its_cause() {
    let desk = Desk::new();
    let guest = guest_with(&desk, TRAP);
    let (count, waker) = Wakes::new();
    let mut parked = call(&guest, "run", 5);
    assert!(poll_with(&mut parked, &waker).is_pending());
    fails(&mut call(&guest, "trap", 0));
    assert!(count.count() > 0, "whoever waits is told");
    assert_error!(
        fails(&mut parked),
        Error::Poisoned { cause } if cause == CAUSE,
        poisoned(CAUSE)
    );
    assert_eq!(desk.dropped(), 1);
    assert_error!(
        fails(&mut call(&guest, "run", 6)),
        Error::Poisoned { cause } if cause == CAUSE,
        poisoned(CAUSE)
    );
    assert_eq!(desk.asked(), [5]);
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

#[test]
fn clearing_the_poison_opens_a_guest_for_new_calls_only() {
    let desk = Desk::new();
    let guest = guest_with(&desk, TRAP);
    let mut parked = [call(&guest, "run", 5), call(&guest, "run", 6)];
    parked.iter_mut().for_each(park);
    desk.answer(6);
    fails(&mut call(&guest, "trap", 0));
    block_on(guest.clear_poison()).unwrap();
    desk.answer(7);
    assert_eq!(ends(&mut call(&guest, "run", 7)), (ran(7),));
    for parked in &mut parked {
        let error = fails(parked);
        assert!(matches!(error, Error::Poisoned { cause } if cause == CAUSE));
    }
    let [_, mut ready] = parked;
    assert!(matches!(fails(&mut ready), Error::CallEnded));
}

#[test]
fn a_cancelled_call_of_a_poisoned_guest_is_not_resumed() {
    let desk = Desk::new();
    let guest = guest_with(&desk, TRAP);
    let mut parked = call(&guest, "run", 5);
    park(&mut parked);
    parked.cancel(&[wasmtime::Val::I32(1)]).unwrap();
    fails(&mut call(&guest, "trap", 0));
    assert!(matches!(fails(&mut parked), Error::Poisoned { cause } if cause == CAUSE));
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

static POLLS: ImportInfo = ImportInfo::new::<Direct, ()>(
    "env",
    "polls",
    false,
    &[ParamInfo::val::<i32>("x", "i32")],
    "",
    "",
);

#[test]
fn a_call_that_goes_on_in_a_poisoned_guest_does_not_park() {
    let (engine, desk) = (Engine::default(), Desk::new());
    let fields = format!(
        r#"{WAIT} (import "env" "try" (func $try)) (memory 1) {RUN} {TRAP}
        (func (export "tries") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (local.set $x (call $pop))) (else (call $try)))
          (local.set $answer (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))"#
    );
    let mut imports = desk.imports(&engine);
    imports.define_plain("env", "try", FuncType::new(&engine, [], []), |cx, _| {
        cx.call::<(i32,), i32>("trap", (0,)).unwrap_err();
        Ok(Vec::new())
    });
    let guest = instantiate(&module(&engine, &fields), imports);
    let mut tries = call(&guest, "tries", 5);
    assert!(matches!(fails(&mut tries), Error::Poisoned { cause } if cause.starts_with(CAUSE)));
    assert_eq!((desk.dropped(), guest.try_stats().unwrap().parked_calls), (1, 0));
    block_on(guest.clear_poison()).unwrap();
    desk.answer(6);
    assert_eq!(ends(&mut call(&guest, "tries", 6)), (ran(6) - 6,));
}

#[test]
fn a_fault_of_another_guest_poisons_that_guest_alone() {
    let engine = Engine::default();
    let other = guest_with(&Desk::new(), TRAP);
    for yields in [0, 1] {
        let trapping = other.clone();
        let mut imports = AsyncImports::new();
        import(&mut imports, &engine, "wait", &[ValType::I32], &[ValType::I32], move |_| {
            let trap = call(&trapping, "trap", 0);
            async move {
                for _ in 0..yields {
                    yield_now().await;
                }
                Ok(vec![wasmtime::Val::I32(trap.await?.0)])
            }
        });
        let guest = instantiate(&module(&engine, &format!("{WAIT} (memory 1) {RUN}")), imports);
        let error = block_on(call(&guest, "run", 5)).unwrap_err();
        assert!(matches!(error, Error::Trap { function, .. } if function == "trap"));
        assert!(!block_on(guest.is_poisoned()).unwrap());
        assert!(block_on(other.is_poisoned()).unwrap());
        block_on(other.clear_poison()).unwrap();
    }
}

/// A task of an executor that is gone.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken on purpose");
    }
}

#[test]
fn a_waker_that_panics_keeps_no_other_call_from_being_told() {
    let desk = Desk::new();
    let guest = guest_with(&desk, TRAP);
    let mut first = call(&guest, "run", 5);
    assert!(poll_with(&mut first, &Waker::from(Arc::new(Panics))).is_pending());
    let (count, waker) = Wakes::new();
    let mut second = call(&guest, "run", 6);
    assert!(poll_with(&mut second, &waker).is_pending());
    let error = fails(&mut call(&guest, "trap", 0));
    assert!(matches!(error, Error::Trap { .. }), "{error:?}");
    assert!(count.count() > 0);
    block_on(guest.clear_poison()).unwrap();
    for call in [&mut first, &mut second] {
        assert!(matches!(fails(call), Error::Poisoned { cause } if cause == CAUSE));
    }
}

/// The task that polls a call may change while another call runs, and poisons the guest.
#[test]
fn a_waker_that_is_new_while_the_guest_is_poisoned_is_woken_all_the_same() {
    let desk = Desk::new();
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "polls" (func $polls (param i32))) (memory 1) {RUN}
        (func (export "poll_and_trap") (param i32) (result i32)
          (call $polls (local.get 0)) unreachable)"#
    );
    let slot = Arc::new(std::sync::Mutex::new(None));
    let (count, waker) = Wakes::new();
    let mut imports = desk.imports(&engine);
    imports.plain::<(ByValue<i32>, ()), Direct, (), _, _>(
        &POLLS,
        &Arc::new((Arc::clone(&slot), waker)),
        |(slot, waker), (_, ())| {
            let mut parked = slot.lock().unwrap();
            assert!(poll_with(parked.as_mut().unwrap(), waker).is_pending());
        },
    );
    let guest = instantiate(&module(&engine, &fields), imports);
    let mut parked = call(&guest, "run", 5);
    park(&mut parked);
    *slot.lock().unwrap() = Some(parked);
    fails(&mut call(&guest, "poll_and_trap", 0));
    assert_eq!(count.count(), 1);
    let mut parked = slot.lock().unwrap().take().unwrap();
    assert!(matches!(fails(&mut parked), Error::Poisoned { .. }));
}

/// `env.wait` panics, after so many yields.
fn panicking_wait(engine: &Engine, yields: i32) -> AsyncImports<()> {
    let mut imports = AsyncImports::new();
    import(&mut imports, engine, "wait", &[ValType::I32], &[ValType::I32], move |_| async move {
        for _ in 0..yields {
            yield_now().await;
        }
        std::panic::panic_any(yields)
    });
    imports
}

const PANICKED: &str = "a host function panicked";

/// The panic goes to whoever polls that call, and the guest's lock is free. In the import itself
/// it poisons; while the call is parked it is as if the call were dropped.
fn panics(guest: &Guest, yields: i32) {
    let mut run = call(guest, "run", 5);
    for _ in 0..yields {
        park(&mut run);
    }
    let payload = catch_unwind(AssertUnwindSafe(|| poll(&mut run))).unwrap_err();
    assert_eq!(payload.downcast_ref::<i32>(), Some(&yields));
    drop(run);
    let stats = guest.try_stats().unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    if yields > 0 {
        assert!(!block_on(guest.is_poisoned()).unwrap());
        return;
    }
    assert_error!(
        fails(&mut call(guest, "run", 5)),
        Error::Poisoned { cause } if cause == PANICKED,
        poisoned(PANICKED)
    );
}

#[test]
fn a_panic_in_an_import_unwinds_to_its_caller_and_frees_what_the_call_held() {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    for yields in [0, 1, 2] {
        let desk = Desk::new();
        let other = instantiate(&module, desk.imports(&engine));
        let mut parked = call(&other, "run", 6);
        park(&mut parked);
        let guest = instantiate(&module, panicking_wait(&engine, yields));
        panics(&guest, yields);
        block_on(guest.clear_poison()).unwrap();
        panics(&guest, yields);
        desk.answer(6);
        assert_eq!(ends(&mut parked), (ran(6),), "other guests go on");
    }
}

#[test]
fn a_panic_in_an_import_tells_the_parked_calls() {
    let desk = Desk::new();
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "other" (func $other (param i32) (result i32))) (memory 1) {RUN}
        (func (export "panic") (param i32) (result i32)
          (drop (global.get $state)) (call $other (local.get 0)))"#
    );
    let mut imports = desk.imports(&engine);
    import(&mut imports, &engine, "other", &[ValType::I32], &[ValType::I32], |_| async {
        panic!("on purpose")
    });
    let guest = trust(&module(&engine, &fields), imports);
    let (count, waker) = Wakes::new();
    let mut parked = call(&guest, "run", 5);
    assert!(poll_with(&mut parked, &waker).is_pending());
    let mut panics = call(&guest, "panic", 0);
    catch_unwind(AssertUnwindSafe(|| poll(&mut panics))).unwrap_err();
    assert!(count.count() > 0);
    assert!(matches!(fails(&mut parked), Error::Poisoned { cause } if cause == PANICKED));
}

static PANIC: ImportInfo = ImportInfo::new::<Direct, ()>("env", "panic", false, &[], "", "");

#[test]
fn a_panic_in_a_plain_import_poisons_also_within_guest_with() {
    let engine = Engine::default();
    let fields = r#"(import "env" "panic" (func $panic)) (memory 1)
        (func (export "run") (param i32) (result i32) (call $panic) (i32.const 0))"#;
    let module = module(&engine, fields);
    let build = || {
        let mut imports = AsyncImports::new();
        let host = Arc::new(());
        imports.plain::<(), Direct, (), (), _>(&PANIC, &host, |(), ()| panic!("on purpose"));
        instantiate(&module, imports)
    };
    let guest = build();
    let mut run = call(&guest, "run", 0);
    catch_unwind(AssertUnwindSafe(|| poll(&mut run))).unwrap_err();
    assert!(
        matches!(fails(&mut call(&guest, "run", 0)), Error::Poisoned { cause } if cause == PANICKED)
    );
    let guest = build();
    let nested = || guest.try_with(|cx| cx.call::<(i32,), i32>("run", (0,)));
    catch_unwind(AssertUnwindSafe(nested)).unwrap_err();
    assert!(
        matches!(fails(&mut call(&guest, "run", 0)), Error::Poisoned { cause } if cause == PANICKED)
    );
}

static THROUGH: ImportInfo = ImportInfo::new::<Direct, i32>("env", "through", true, &[], "i32", "");

#[test]
fn a_panic_that_a_trampoline_catches_poisons_and_restores_the_stack() {
    let engine = Engine::default();
    let fields = r#"(import "env" "panic" (func $panic))
        (import "env" "through" (func $through (result i32))) (memory 1)
        (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 65536))
        (func (export "inner")
          (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 64)))
          (call $panic))
        (func (export "outer") (param i32) (result i32)
          (drop (global.get $state)) (call $through))"#;
    let (mut imports, host) = (AsyncImports::new(), Arc::new(()));
    imports.plain::<(), Direct, (), (), _>(&PANIC, &host, |(), ()| panic!("on purpose"));
    imports.trampoline::<(), Direct, i32, (), _>(&THROUGH, &host, |(), cx, ()| {
        catch_unwind(AssertUnwindSafe(|| cx.call::<(), ()>("inner", ()))).unwrap_err();
        (7, ())
    });
    let guest = trust(&module(&engine, fields), imports);
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (7,));
    assert!(block_on(guest.is_poisoned()).unwrap());
    let pointer = guest.all_exports().global("__stack_pointer").unwrap();
    let pointer = guest.try_with(|cx| pointer.get(cx.store().unwrap()).unwrap_i32());
    assert_eq!(pointer.unwrap(), 65536);
}

#[test]
fn a_trap_within_guest_with_poisons() {
    let desk = Desk::new();
    let guest = guest_with(&desk, TRAP);
    let nested = guest.try_with(|cx| cx.call::<(i32,), i32>("trap", (0,))).unwrap();
    assert_error!(
        nested.unwrap_err(),
        Error::Trap { function, .. } if function == "trap",
        CAUSE
    );
    let error = fails(&mut call(&guest, "run", 5));
    assert!(matches!(error, Error::Poisoned { cause } if cause == CAUSE));
    let nested = guest.try_with(|cx| cx.call::<(i32,), i32>("trap", (0,))).unwrap();
    assert!(matches!(nested, Err(Error::Poisoned { .. })));
}
