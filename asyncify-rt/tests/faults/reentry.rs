//! A guest that is used from inside one of its own imports, from another thread, or when it is
//! gone: told, never hung.

use std::sync::{Arc, Mutex};

use asyncify_rt::private::Direct;
use asyncify_rt::{AsyncImports, Call, Error, Guest, GuestCx, ImportInfo, ImportResult, Trap};
use futures::FutureExt;
use wasmtime::{Engine, FuncType, Val, ValType};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, guest_with, instantiate, module, park,
    poll, ran, yield_now,
};

const REENTERED: &str = "the guest was used from inside one of its own imports while that import runs; use the `GuestCx` it is handed, or call from an `async fn` import";
const BUSY: &str = "the guest is busy; await the call, or try again later";

/// `outer(x)` calls `env.inside(x)`, rightly instrumented.
const OUTER: &str = r#"
    (func (export "outer") (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $x (call $pop))))
      (local.set $answer (call $inside (local.get $x)))
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (local.get $answer))"#;

/// `repeat(n)` calls `env.inside(x)` n times, each with the answer to the one before, from 0 on.
const REPEAT: &str = r#"
    (func (export "repeat") (param $n i32) (result i32) (local $x i32)
      (if REWINDING (then unreachable))
      (loop $again
        (local.set $x (call $inside (local.get $x)))
        (if UNWINDING (then unreachable))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $x))"#;

/// A guest whose `env.inside` is `body`.
fn guest<F>(desk: &Desk, body: F) -> Guest
where
    F: Fn(&mut GuestCx<'_, ()>, i32) -> Result<ImportResult, Trap> + Send + Sync + 'static,
{
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "inside" (func $inside (param i32) (result i32)))
        (memory 1) {RUN} {OUTER} {REPEAT}"#
    );
    let mut imports: AsyncImports<()> = desk.imports(&engine);
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    imports.define("env", "inside", ty, move |cx, params| body(cx, params[0].unwrap_i32()));
    instantiate(&module(&engine, &fields), imports)
}

/// What was seen inside an import.
type Seen<R> = Arc<Mutex<Vec<R>>>;

fn sync(value: i32) -> ImportResult {
    ImportResult::Sync(vec![Val::I32(value)])
}

#[test]
fn a_plain_import_that_locks_its_guest_is_told() {
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        let guest = cx.guest()?;
        let mut seen = inside.lock().unwrap();
        seen.push(guest.try_with(|_| ()).unwrap_err());
        seen.push(guest.try_stats().unwrap_err());
        seen.push(block_on(guest.with(|_| ())).unwrap_err());
        seen.push(block_on(guest.clear_poison()).unwrap_err());
        Ok(sync(1))
    });
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 4);
    for error in seen {
        assert_error!(error, Error::Reentered, REENTERED);
    }
}

#[test]
fn a_plain_import_that_blocks_on_a_call_is_told() {
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        let run = call(&cx.guest()?, "run", 5);
        inside.lock().unwrap().push(block_on(run).unwrap_err());
        Ok(sync(1))
    });
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
    assert_error!(seen.lock().unwrap().pop().unwrap(), Error::Reentered, REENTERED);
}

#[test]
fn an_async_import_that_blocks_on_a_call_is_told() {
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        let (guest, inside) = (cx.guest()?, Arc::clone(&inside));
        Ok(ImportResult::wait(async move {
            let mut seen = inside.lock().unwrap();
            seen.push(block_on(call(&guest, "run", 5)).unwrap_err());
            seen.push(block_on(guest.with(|_| ())).unwrap_err());
            Ok(vec![Val::I32(1)])
        }))
    });
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 2);
    for error in seen {
        assert_error!(error, Error::Reentered, REENTERED);
    }
}

/// A parked call that cannot go on here still can later, and leaves nothing behind when dropped.
#[test]
fn a_parked_call_that_is_blocked_on_inside_an_import_keeps_what_it_has() {
    let desk = Desk::new();
    let slot = Arc::new(Mutex::new(None::<Call<(i32,)>>));
    let seen = Seen::default();
    let (parked, inside) = (Arc::clone(&slot), Arc::clone(&seen));
    let guest = guest(&desk, move |_, _| {
        let mut parked = parked.lock().unwrap();
        if let Some(parked) = parked.as_mut() {
            inside.lock().unwrap().push(block_on(parked).unwrap_err());
        }
        Ok(sync(1))
    });
    for dropped in [false, true] {
        let mut run = call(&guest, "run", 5);
        park(&mut run);
        desk.answer(5);
        *slot.lock().unwrap() = Some(run);
        assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
        assert_error!(seen.lock().unwrap().pop().unwrap(), Error::Reentered, REENTERED);
        let mut run = slot.lock().unwrap().take().unwrap();
        if dropped {
            drop(run);
        } else {
            assert_eq!(ends(&mut run), (ran(5),));
        }
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}

#[test]
fn an_async_import_may_await_its_own_guest() {
    let desk = Desk::new();
    let guest = guest(&desk, move |cx, x| {
        let guest = cx.guest()?;
        Ok(ImportResult::wait(async move {
            let (first, second) =
                futures::join!(call(&guest, "run", x), call(&guest, "run", x + 1));
            let ((first,), (second,)) = (first?, second?);
            Ok(vec![Val::I32(first * second)])
        }))
    });
    desk.answer(6);
    let answering = async {
        while desk.asked().len() < 2 {
            yield_now().await;
        }
        desk.answer(5);
    };
    let (product, ()) = block_on(async { futures::join!(call(&guest, "outer", 5), answering) });
    assert_eq!(product.unwrap(), (ran(5) * ran(6),));
}

#[test]
fn the_first_poll_of_an_async_import_finds_the_guest_busy_and_a_later_one_does_not() {
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        let (guest, inside) = (cx.guest()?, Arc::clone(&inside));
        Ok(ImportResult::wait(async move {
            inside.lock().unwrap().push(guest.try_stats());
            yield_now().await;
            inside.lock().unwrap().push(guest.try_stats());
            Ok(vec![Val::I32(1)])
        }))
    });
    assert_eq!(block_on(call(&guest, "outer", 0)).unwrap(), (1,));
    let mut seen = std::mem::take(&mut *seen.lock().unwrap()).into_iter();
    assert_error!(seen.next().unwrap().unwrap_err(), Error::Busy, BUSY);
    assert_eq!(seen.next().unwrap().unwrap().parked_calls, 1);
}

#[test]
fn any_number_of_imports_in_a_row_may_look_whether_the_guest_is_free() {
    const LOOKS: i32 = 1_500;
    let guest = guest(&Desk::new(), move |cx, x| {
        let guest = cx.guest()?;
        Ok(ImportResult::wait(async move {
            let free = guest.with(|_| ()).now_or_never();
            Ok(vec![Val::I32(i32::from(free.is_none()) + x)])
        }))
    });
    assert_eq!(ends(&mut call(&guest, "repeat", LOOKS)), (LOOKS,));
}

#[test]
fn another_thread_finds_a_running_guest_busy() {
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        let guest = cx.guest()?;
        let error = std::thread::scope(|scope| {
            scope.spawn(|| guest.try_with(|_| ()).unwrap_err()).join().unwrap()
        });
        inside.lock().unwrap().push(error);
        Ok(sync(1))
    });
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
    assert_error!(seen.lock().unwrap().pop().unwrap(), Error::Busy, BUSY);
}

#[test]
fn a_call_that_is_polled_while_another_thread_runs_the_guest_waits_and_is_woken() {
    let (sender, receiver) = futures::channel::oneshot::channel();
    let parts = Mutex::new(Some(sender));
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let desk = Desk::new();
    let guest = guest(&desk, move |_, x| {
        if let Some(sender) = parts.lock().unwrap().take() {
            sender.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        Ok(sync(x))
    });
    let outer = call(&guest, "outer", 3);
    let running = std::thread::spawn(move || block_on(outer).unwrap());
    block_on(receiver).unwrap();
    let (count, waker) = crate::common::Wakes::new();
    let mut run = call(&guest, "run", 5);
    assert!(crate::common::poll_with(&mut run, &waker).is_pending());
    assert_eq!((desk.asked().len(), count.count()), (0, 0), "it has not begun");
    go.send(()).unwrap();
    assert_eq!(running.join().unwrap(), (3,));
    assert!(count.count() > 0);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
}

#[test]
fn a_panic_of_an_import_leaves_no_trace_in_the_lock() {
    let panicking = Arc::new(Mutex::new(true));
    let (flag, seen) = (Arc::clone(&panicking), Seen::default());
    let inside = Arc::clone(&seen);
    let guest = guest(&Desk::new(), move |cx, _| {
        if std::mem::take(&mut *flag.lock().unwrap()) {
            return Ok(ImportResult::wait(async { panic!("on purpose") }));
        }
        inside.lock().unwrap().push(cx.guest()?.try_with(|_| ()).unwrap_err());
        Ok(sync(1))
    });
    let mut outer = call(&guest, "outer", 0);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut outer))).unwrap_err();
    block_on(guest.clear_poison()).unwrap();
    assert_eq!(ends(&mut call(&guest, "outer", 0)), (1,));
    assert_error!(seen.lock().unwrap().pop().unwrap(), Error::Reentered, REENTERED);
}

#[test]
fn a_guest_that_is_gone_is_told() {
    const GONE: &str = "the guest is gone; keep a `Guest` for as long as it is used";
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let weak = guest.downgrade();
    let run = call(&weak.upgrade().unwrap(), "run", 5);
    drop(guest);
    assert!(weak.upgrade().is_ok(), "a call keeps its guest");
    drop(run);
    assert_error!(weak.upgrade().unwrap_err(), Error::GuestGone, GONE);
}

static BEGIN: ImportInfo = ImportInfo::new::<Direct, ()>("env", "begin", false, &[], "", "");

#[test]
fn a_guest_that_is_being_made_has_no_handle_yet() {
    let engine = Engine::default();
    let seen = Seen::default();
    let inside = Arc::clone(&seen);
    let fields = r#"(import "env" "begin" (func $begin)) (memory 1) (start $begin)"#;
    let mut imports = AsyncImports::<()>::new();
    imports.plain_with_guest::<(), Direct, (), _, _>(&BEGIN, &inside, |seen, cx, ()| {
        seen.lock().unwrap().push(cx.guest().map(drop));
        ((), ())
    });
    let guest = instantiate(&module(&engine, fields), imports);
    assert!(matches!(seen.lock().unwrap().pop().unwrap(), Err(Error::GuestGone)));
    assert!(!block_on(guest.is_poisoned()).unwrap());
}
