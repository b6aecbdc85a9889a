//! What belongs to a call and stands in a global or in memory: `errno`, say.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use asyncify_rt::{
    Builder, CallState, Error, Guest, GuestCx, Module, StackPolicy, Trap, WeakGuest,
};
use wasmtime::{Engine, Global, GlobalType, Mutability, Val, ValType};

use crate::common::{
    Desk, WAIT, assert_error, block_on, by_hand, call, ends, fails, import, module, park, poll,
};

/// `fails_with(code)` sets `errno`, a global, and waits; `fails_in_memory(code)` does so with one at
/// 64, which `errno_location` tells. Both return what is there when they go on. `touch` sets both to
/// 99.
const ERRNO: &str = r#"
    (memory (export "memory") 1)
    (global $errno (mut i32) (i32.const 0))
    (func (export "fails_with") (param $code i32) (result i32)
      (if REWINDING
        (then (drop (call $pop)))
        (else (global.set $errno (i32.add (global.get $errno) (local.get $code)))))
      (drop (call $wait (local.get $code)))
      (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
      (global.get $errno))
    (func (export "fails_in_memory") (param $code i32) (result i32)
      (if REWINDING
        (then (drop (call $pop)))
        (else (i32.store (i32.const 64) (local.get $code))))
      (drop (call $wait (local.get $code)))
      (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
      (i32.load (i32.const 64)))
    (func (export "errno_location") (result i32) (i32.const 64))
    (func (export "touch") (global.set $errno (i32.const 99)) (i32.store (i32.const 64) (i32.const 99)))
    (func (export "errno") (param i32) (result i32) (global.get $errno))
    (func (export "fail") unreachable)"#;

fn build(desk: &Desk, configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {ERRNO}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    block_on(configure(builder).instantiate()).unwrap()
}

/// The `errno` in memory, and how many are kept.
#[derive(Clone, Default)]
struct Errno(Arc<AtomicUsize>);

struct Kept([u8; 4], Arc<AtomicUsize>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl CallState<()> for Errno {
    type Saved = Kept;

    fn park(&self, guest: &mut GuestCx<'_, ()>) -> Result<Kept, Trap> {
        let at = guest.call::<(), u32>("errno_location", ())?;
        let mut errno = [0; 4];
        errno.copy_from_slice(guest.read(at, 4)?);
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Kept(errno, Arc::clone(&self.0)))
    }

    fn resume(&self, guest: &mut GuestCx<'_, ()>, saved: Kept) -> Result<(), Trap> {
        let at = guest.call::<(), u32>("errno_location", ())?;
        Ok(guest.write(at, &saved.0)?)
    }
}

fn touch(guest: &Guest) {
    guest.try_with(|cx| cx.call::<(), ()>("touch", ()).unwrap()).unwrap();
}

#[test]
fn each_call_has_its_own() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        for name in ["fails_with", "fails_in_memory"] {
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
                let desk = Desk::new();
                let guest = build(&desk, |builder| {
                    builder
                        .call_globals(["errno"])
                        .call_state(Errno::default())
                        .stack_policy(policy)
                });
                let codes = [5, 9, 2];
                let mut calls = codes.map(|code| call(&guest, name, code));
                calls.iter_mut().for_each(park);
                for which in order {
                    touch(&guest);
                    desk.answer(codes[which]);
                    assert_eq!(ends(&mut calls[which]), (codes[which],), "{name} {order:?}");
                }
            }
        }
    }
}

#[test]
fn without_it_calls_share() {
    for name in ["fails_with", "fails_in_memory"] {
        let desk = Desk::new();
        let guest = build(&desk, |builder| builder);
        let mut parked = call(&guest, name, 5);
        park(&mut parked);
        touch(&guest);
        desk.answer(5);
        assert_eq!(ends(&mut parked), (99,));
    }
}

/// A new call finds what stood there when the guest was made, whatever others left.
#[test]
fn a_new_call_finds_what_the_guest_began_with() {
    let engine = Engine::default();
    let desk = Desk::new();
    let init = r#"(func (export "_initialize") (global.set $errno (i32.const 40)))
        (func (export "more") (global.set $errno (i32.add (global.get $errno) (i32.const 2))))"#;
    let module = module(&engine, &format!("{WAIT} {ERRNO} {init}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.initialize(["_initialize", "more"]).call_globals(["errno"]);
    let guest = block_on(builder.instantiate()).unwrap();
    let mut parked = call(&guest, "fails_with", 1);
    park(&mut parked);
    let left = |guest: &Guest| guest.try_with(|cx| cx.call::<i32, i32>("errno", 0).unwrap());
    assert_eq!(left(&guest).unwrap(), 43, "the guest in hand is part of what ran");
    assert_eq!(ends(&mut call(&guest, "errno", 0)), (42,));
    let errno = guest.all_exports().typed::<(i32,), (i32,)>("errno").unwrap();
    assert_eq!(block_on(errno.call_plain((0,))).unwrap(), (42,));
    desk.answer(1);
    assert_eq!(ends(&mut parked), (43,));
    assert_eq!(ends(&mut call(&guest, "errno", 0)), (42,));
}

/// Globals of each kind of number, defined here and imported, by name, by export and by index.
#[test]
fn globals_of_all_numbers() {
    const FIELDS: &str = r#"
        (import "env" "wait" (func $wait (param i32) (result i32)))
        (import "env" "shared" (global $shared (mut i32)))
        (memory 1)
        (global $wide (mut i64) (i64.const 1))
        (global $single (mut f32) (f32.const 1))
        (global $double (export "exported") (mut f64) (f64.const 1))
        (global $vector (mut v128) (v128.const i64x2 1 1))
        (func (export "run") (param $x i32) (result i32)
          (if REWINDING
            (then (drop (call $pop)))
            (else
              (global.set $shared (local.get $x))
              (global.set $wide (i64.extend_i32_s (local.get $x)))
              (global.set $single (f32.convert_i32_s (local.get $x)))
              (global.set $double (f64.convert_i32_s (local.get $x)))
              (global.set $vector (i64x2.splat (i64.extend_i32_s (local.get $x))))))
          (drop (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
          (i32.add (i32.add (global.get $shared) (i32.wrap_i64 (global.get $wide)))
            (i32.add (i32.add (i32.trunc_f32_s (global.get $single)) (i32.trunc_f64_s (global.get $double)))
              (i32.wrap_i64 (i64x2.extract_lane 1 (global.get $vector))))))"#;
    let engine = Engine::default();
    let desk = Desk::new();
    let builder = Guest::builder(&module(&engine, FIELDS)).async_imports(desk.imports(&engine));
    let builder = builder.link_with_store(|linker, store| {
        let ty = GlobalType::new(ValType::I32, Mutability::Var);
        let shared = Global::new(&mut *store, ty, Val::I32(1))?;
        Ok(linker.define(&mut *store, "env", "shared", shared).map(drop)?)
    });
    let builder = builder.no_stack_pointer().call_globals(["shared", "1", "single"]);
    let guest = block_on(builder.call_globals(["exported", "vector"]).instantiate()).unwrap();
    let mut calls = [10, 20].map(|x| call(&guest, "run", x));
    calls.iter_mut().for_each(park);
    for (call, x) in calls.iter_mut().zip([10, 20]) {
        desk.answer(x);
        assert_eq!(ends(call), (5 * x,));
    }
}

#[test]
fn a_global_that_cannot_be_kept_is_told() {
    let engine = Engine::default();
    let fields = r"(memory 1)
        (global $__stack_pointer (mut i32) (i32.const 8192))
        (global $errno (mut i32) (i32.const 0))
        (global $fixed i32 (i32.const 0))
        (global $current (mut funcref) (ref.null func))";
    let module = module(&engine, fields);
    let refused = |name: &str| {
        block_on(Guest::builder(&module).call_globals([name]).instantiate()).unwrap_err()
    };
    assert_error!(
        refused("errn0"),
        Error::NoSuchGlobal { name, present } if name == "errn0" && present.len() == 3,
        "the module has no mutable global `errn0` (did you mean `errno`?); it has `__stack_pointer`, `errno` and `current`"
    );
    assert!(matches!(refused("fixed"), Error::NoSuchGlobal { .. }), "it never changes");
    for (name, text) in [
        (
            "current",
            "the global `current` holds a reference, and numbers alone are kept for each call; keep it with `Builder::call_state`",
        ),
        (
            "__stack_pointer",
            "the global `__stack_pointer` is the stack pointer, which each call has its own of in any case; leave it out",
        ),
        ("state", "the global `state` is Asyncify's own, which the host writes; leave it out"),
    ] {
        assert_error!(refused(name), Error::Config(_), text);
    }
}

#[test]
fn what_is_kept_goes_with_its_call() {
    let desk = Desk::new();
    let errno = Errno::default();
    let kept = Arc::clone(&errno.0);
    let guest = build(&desk, |builder| builder.call_state(errno));
    let mut calls = [1, 2, 3].map(|code| call(&guest, "fails_in_memory", code));
    calls.iter_mut().for_each(park);
    assert_eq!(kept.load(Ordering::SeqCst), 3);
    let [mut first, second, mut third] = calls;
    drop(second);
    assert_eq!(kept.load(Ordering::SeqCst), 2, "without the guest");
    desk.answer(1);
    assert_eq!(ends(&mut first), (1,));
    assert_eq!(kept.load(Ordering::SeqCst), 1);
    third.cancel(&[Val::I32(0)]).unwrap();
    assert_eq!(ends(&mut third), (3,));
    assert_eq!(kept.load(Ordering::SeqCst), 0);
    // Of calls that end because the guest is poisoned, too.
    let mut parked = call(&guest, "fails_in_memory", 4);
    park(&mut parked);
    assert!(guest.try_with(|cx| cx.call::<(), ()>("fail", ())).unwrap().is_err());
    assert!(matches!(fails(&mut parked), Error::Poisoned { .. }));
    assert_eq!(kept.load(Ordering::SeqCst), 0);
}

/// A call that an import makes is another call.
#[test]
fn a_call_within_another_has_its_own() {
    let engine = Engine::default();
    let weak = Arc::new(OnceLock::<WeakGuest>::new());
    let mut imports = asyncify_rt::AsyncImports::new();
    let of = Arc::clone(&weak);
    import(&mut imports, &engine, "wait", &[ValType::I32], &[ValType::I32], move |params| {
        let (code, guest) = (params[0].unwrap_i32(), of.get().unwrap().upgrade());
        async move {
            crate::common::yield_now().await;
            if code > 0 {
                let inner = call(&guest?, "fails_with", code - 1).await?;
                assert_eq!(inner, (code - 1,));
            }
            Ok(vec![Val::I32(0)])
        }
    });
    let module = module(&engine, &format!("{WAIT} {ERRNO}"));
    let builder = Guest::builder(&module).async_imports(imports).call_globals(["errno"]);
    let guest = block_on(builder.instantiate()).unwrap();
    weak.set(guest.downgrade()).unwrap();
    assert_eq!(block_on(call(&guest, "fails_with", 7)).unwrap(), (7,));
}

/// Fails or panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Faulty {
    ParkFails,
    ParkPanics,
    /// A function of the guest traps in there, and nobody looks.
    ParkTraps,
    ResumeFails,
    ResumePanics,
}

impl CallState<()> for Faulty {
    type Saved = ();

    fn park(&self, guest: &mut GuestCx<'_, ()>) -> Result<(), Trap> {
        match self {
            Self::ParkFails => Err(std::io::Error::other("park").into()),
            Self::ParkPanics => panic!("park"),
            Self::ParkTraps => {
                let _ = guest.call::<(), ()>("fail", ());
                Ok(())
            }
            Self::ResumeFails | Self::ResumePanics => Ok(()),
        }
    }

    fn resume(&self, _: &mut GuestCx<'_, ()>, (): ()) -> Result<(), Trap> {
        match self {
            Self::ResumeFails => Err(std::io::Error::other("resume").into()),
            Self::ResumePanics => panic!("resume"),
            _ => Ok(()),
        }
    }
}

#[test]
fn an_error_ends_the_call_as_an_imports_does() {
    for faulty in [Faulty::ParkFails, Faulty::ResumeFails] {
        for poisons in [false, true] {
            let desk = Desk::new();
            let guest = build(&desk, |builder| {
                let builder = builder.call_state(faulty);
                if poisons { builder.host_end_poisons() } else { builder }
            });
            let mut failed = call(&guest, "fails_with", 5);
            if faulty == Faulty::ResumeFails {
                park(&mut failed);
                desk.answer(5);
            }
            let error = fails(&mut failed);
            assert!(matches!(&error, Error::Host { function, .. } if function == "fails_with"));
            assert!(error.downcast_ref::<std::io::Error>().is_some());
            assert_eq!(desk.dropped(), usize::from(faulty == Faulty::ParkFails));
            assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
            assert_eq!(block_on(guest.is_poisoned()).unwrap(), poisons);
            if !poisons {
                assert_eq!(ends(&mut call(&guest, "errno", 0)), (5,));
            }
        }
    }
}

#[test]
fn a_panic_poisons_as_an_imports_does() {
    for faulty in [Faulty::ParkPanics, Faulty::ResumePanics] {
        let desk = Desk::new();
        let guest = build(&desk, |builder| builder.call_state(faulty));
        let mut failed = call(&guest, "fails_with", 5);
        if faulty == Faulty::ResumePanics {
            park(&mut failed);
            desk.answer(5);
        }
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut failed))).is_err());
        assert!(matches!(fails(&mut failed), Error::Poisoned { .. } | Error::CallEnded));
        drop(failed);
        assert_error!(
            fails(&mut call(&guest, "errno", 0)),
            Error::Poisoned { .. },
            "the guest is poisoned: a host function panicked; start a new one, or open it for new calls with `Guest::clear_poison`"
        );
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
        assert_eq!(desk.dropped(), usize::from(faulty == Faulty::ParkPanics));
        block_on(guest.clear_poison()).unwrap();
        assert_eq!(ends(&mut call(&guest, "errno", 0)), (5,));
    }
}

#[test]
fn a_call_whose_state_poisons_the_guest_does_not_park() {
    let desk = Desk::new();
    let guest = build(&desk, |builder| builder.call_state(Faulty::ParkTraps));
    assert!(matches!(fails(&mut call(&guest, "fails_with", 5)), Error::Poisoned { .. }));
    assert_eq!(desk.dropped(), 1);
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

#[test]
fn an_instance_that_is_linked_keeps_globals_only() {
    let engine = Engine::default();
    let module = Module::new(&engine, by_hand("(memory 1) (global $errno (mut i32) (i32.const 7)) (func (export \"errno\") (param i32) (result i32) (global.get $errno) (global.set $errno (i32.const 1)))")).unwrap();
    let parts = || {
        let mut store = wasmtime::Store::new(&engine, asyncify_rt::State::new(&module, ()));
        let instance = wasmtime::Instance::new(&mut store, module.wasmtime(), &[]).unwrap();
        (store, instance)
    };
    let (store, instance) = parts();
    let builder = Guest::builder(&module).call_globals(["errno"]);
    let guest = builder.from_parts(store, instance).unwrap();
    for _ in 0..2 {
        assert_eq!(ends(&mut call(&guest, "errno", 0)), (7,));
    }
    let (store, instance) = parts();
    let refused = Guest::builder(&module).call_state(Faulty::ParkFails).from_parts(store, instance);
    assert_error!(
        refused.unwrap_err(),
        Error::Config(_),
        "`Builder::call_state` comes too late for an instance that is linked already; name globals with `Builder::call_globals`, or let a builder link it"
    );
}
