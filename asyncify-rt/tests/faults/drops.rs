//! Import futures whose `Drop` uses the guest: wherever they end, that neither hangs nor panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use asyncify_rt::{Builder, Call, Error, Guest, Limits, WeakGuest};
use wasmtime::{Engine, Val, ValType};

use crate::common::{
    Desk, RUN, WAIT, answer, block_on, call, ends, fails, guest_with, import, module, park, poll,
    poll_with, ran,
};

/// What `Drop` saw, in order: how the guest was, by the name of the error.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<&'static str>>>);

impl Seen {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

type Slot = Arc<Mutex<Option<WeakGuest>>>;

/// Looks at the guest when it is dropped.
struct Looks {
    guest: Slot,
    seen: Seen,
    then_panics: bool,
}

impl Drop for Looks {
    fn drop(&mut self) {
        let guest = self.guest.lock().unwrap().as_ref().unwrap().upgrade().unwrap();
        let tried = match guest.try_with(|cx| cx.memory().len()) {
            Ok(_) => "free",
            Err(Error::Reentered) => "within",
            Err(Error::Busy) => "busy",
            Err(other) => panic!("{other:?}"),
        };
        self.seen.0.lock().unwrap().push(tried);
        // Waiting is told too, where it would be for ever.
        assert_eq!(block_on(guest.with(|_| ())).is_ok(), tried == "free");
        assert!(!self.then_panics || std::thread::panicking(), "dropped on purpose");
    }
}

struct Rig {
    guest: Guest,
    desk: Desk,
    seen: Seen,
}

/// `env.wait` is answered at the desk, and its future looks at the guest when it is dropped.
/// `env.wait(PANICS)` panics.
fn rig(then_panics: bool, configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Rig {
    let (engine, desk, seen) = (Engine::default(), Desk::new(), Seen::default());
    let fields = format!(
        r#"{WAIT} (memory (export "memory") 1) {RUN}
        (func (export "trap") (param i32) (result i32) unreachable)
        (func (export "outer") (param i32) (result i32)
          (drop (global.get $state)) (call $wait (call $run (local.get 0))))
        (func (export "traps") (param $x i32) (result i32)
          (drop (call $wait (local.get $x)))
          (if UNWINDING (then unreachable))
          (i32.const 0))"#
    );
    let slot = Slot::default();
    let mut imports = asyncify_rt::AsyncImports::new();
    let (guest, asked, looks) = (Arc::clone(&slot), desk.clone(), seen.clone());
    import(&mut imports, &engine, "wait", &[ValType::I32], &[ValType::I32], move |params| {
        let tag = params[0].unwrap_i32();
        let looks = Looks { guest: Arc::clone(&guest), seen: looks.clone(), then_panics };
        let waiting = asked.wait(tag);
        async move {
            let _looks = looks;
            assert!(tag != PANICS, "panics on purpose");
            Ok(vec![Val::I32(waiting.await)])
        }
    });
    let module = module(&engine, &fields);
    let builder = Guest::builder(&module).async_imports(imports).trust_instrumentation();
    let guest = block_on(configure(builder).instantiate()).unwrap();
    *slot.lock().unwrap() = Some(guest.downgrade());
    Rig { guest, desk, seen }
}

const PANICS: i32 = 77;

impl Rig {
    fn parked(&self, x: i32) -> Call<(i32,)> {
        let mut parked = call(&self.guest, "run", x);
        park(&mut parked);
        parked
    }

    fn works(&self) {
        block_on(self.guest.clear_poison()).unwrap();
        self.desk.answer(9);
        assert_eq!(ends(&mut call(&self.guest, "run", 9)), (ran(9),));
        assert_eq!(self.guest.try_stats().unwrap().parked_calls, 0);
        self.seen.take();
    }
}

#[test]
fn a_future_that_is_dropped_with_or_instead_of_its_call_may_use_the_guest() {
    let rig = rig(false, |builder| builder);
    drop(rig.parked(1));
    assert_eq!(rig.seen.take(), ["free"]);
    let mut cancelled = rig.parked(2);
    cancelled.cancel(&[Val::I32(answer(2))]).unwrap();
    assert_eq!(rig.seen.take(), ["free"]);
    assert_eq!(ends(&mut cancelled), (ran(2),));
    let mut ready = rig.parked(3);
    rig.desk.answer(3);
    assert_eq!(ends(&mut ready), (ran(3),));
    assert_eq!(rig.seen.take(), ["free"], "it is polled without the guest");
    rig.works();
}

#[test]
fn a_future_of_a_call_whose_guest_was_poisoned_may_use_the_guest() {
    let rig = rig(false, |builder| builder);
    let mut parked = rig.parked(1);
    fails(&mut call(&rig.guest, "trap", 0));
    assert!(rig.seen.take().is_empty());
    assert!(matches!(fails(&mut parked), Error::Poisoned { .. }));
    assert_eq!(rig.seen.take(), ["free"]);
    rig.works();
}

#[test]
fn a_future_of_a_call_that_fails_while_it_parks_may_use_the_guest() {
    for (limits, name) in [
        (Limits::default().parked_calls(0), "run"),
        (Limits::default().suspensions_per_call(0), "run"),
        (Limits::default().parked_bytes(0), "run"),
        (Limits::default(), "outer"),
        (Limits::default(), "traps"),
    ] {
        let rig = rig(false, |builder| builder.limits(limits));
        let error = fails(&mut call(&rig.guest, name, 1));
        assert_eq!(rig.seen.take(), ["free"], "{error:?}");
        assert_eq!(rig.desk.dropped(), 1);
        rig.works();
    }
}

#[test]
fn a_future_that_ends_inside_its_import_is_told_that_the_guest_runs() {
    let rig = rig(false, |builder| builder);
    rig.desk.answer(1);
    assert_eq!(ends(&mut call(&rig.guest, "run", 1)), (ran(1),));
    assert_eq!(rig.seen.take(), ["busy"]);
    let mut panics = call(&rig.guest, "run", PANICS);
    catch_unwind(AssertUnwindSafe(|| poll(&mut panics))).unwrap_err();
    assert_eq!(rig.seen.take(), ["busy"]);
    rig.works();
}

/// The panic is the caller's, and the guest is as after the error that it hides.
#[test]
fn a_future_that_panics_when_it_is_dropped_leaves_the_guest_in_order() {
    let rig = rig(true, |builder| builder.limits(Limits::default().parked_calls(0)));
    for _ in 0..2 {
        let mut refused = call(&rig.guest, "run", 1);
        catch_unwind(AssertUnwindSafe(|| poll(&mut refused))).unwrap_err();
        assert_eq!(rig.seen.take(), ["free"]);
        assert!(!block_on(rig.guest.is_poisoned()).unwrap());
        assert_eq!(rig.guest.try_stats().unwrap().parked_calls, 0);
    }
}

#[test]
fn a_future_that_panics_when_its_call_is_cancelled_leaves_that_to_resume() {
    let rig = rig(true, |builder| builder);
    let mut cancelled = rig.parked(1);
    let cancel = || cancelled.cancel(&[Val::I32(answer(1))]);
    catch_unwind(AssertUnwindSafe(cancel)).unwrap_err();
    assert_eq!(ends(&mut cancelled), (ran(1),));
    assert_eq!(rig.guest.try_stats().unwrap().parked_calls, 0);
}

/// A task that is dropped with its last waker, and a call with it.
struct Holds {
    _call: Mutex<Call<(i32,)>>,
}

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_is_replaced_may_drop_another_call() {
    let rig = rig(false, |builder| builder);
    let mut first = rig.parked(1);
    let holds = Arc::new(Holds { _call: Mutex::new(rig.parked(2)) });
    assert!(poll_with(&mut first, &Waker::from(holds)).is_pending());
    // The desk lets go of the waker, and the next poll replaces the last clone of it.
    rig.desk.answer(50);
    assert!(rig.seen.take().is_empty());
    assert!(poll(&mut first).is_pending());
    assert_eq!(rig.seen.take(), ["free"]);
    rig.desk.answer(1);
    assert_eq!(ends(&mut first), (ran(1),));
    rig.works();
}

/// Panics when its last clone is dropped, as a task's future may that goes with it.
struct PanicsLast;

impl Wake for PanicsLast {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsLast {
    fn drop(&mut self) {
        panic!("dropped on purpose");
    }
}

const SHADOW: &str =
    r#"(global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 65536))"#;

#[test]
fn a_waker_that_panics_when_it_is_replaced_leaves_the_guest_in_order() {
    for resumed in [false, true] {
        let desk = Desk::new();
        let guest = guest_with(&desk, SHADOW);
        let pointer = guest.all_exports().global("__stack_pointer").unwrap();
        let pointer = || guest.try_with(|cx| pointer.get(cx.store().unwrap()).unwrap_i32());
        let mut first = call(&guest, "run", 1);
        park(&mut first);
        desk.answer(50);
        let mut other = call(&guest, "run", 50);
        assert!(poll_with(&mut other, &Waker::from(Arc::new(PanicsLast))).is_ready());

        let mut second = call(&guest, "run", 2);
        desk.answer(1);
        desk.answer(2);
        let fated = if resumed { &mut first } else { &mut second };
        catch_unwind(AssertUnwindSafe(|| poll(fated))).unwrap_err();
        assert_eq!((ends(&mut first), ends(&mut second)), ((ran(1),), (ran(2),)));
        let stats = guest.try_stats().unwrap();
        assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
        assert_eq!(pointer().unwrap(), 65536);
    }
}
