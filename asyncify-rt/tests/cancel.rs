//! Calls that are dropped, cancelled, or held and polled no more.

mod flight;

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};

use asyncify_rt::private::{Direct, ExportFn, ExportInfo, ExportLookup, ParamInfo, Ref};
use asyncify_rt::{Call, Error, Exports, Guest, Slice, StackPolicy};
use flight::answers::sum;
use flight::{Count, Gates, block_on, i32, poll, stack_guest, stack_pointer, w, with_policy};
use wasmtime::{Engine, FuncType, Val, ValType};

fn start(guest: &Guest, name: &str, args: [u32; 2]) -> Call<Vec<Val>> {
    guest.all_exports().function(name).unwrap().call(args.map(i32))
}

fn answer(call: Call<Vec<Val>>) -> u32 {
    block_on(call).unwrap()[0].unwrap_i32().cast_unsigned()
}

/// The guest answers as if nothing had happened.
fn is_well(guest: &Guest, gates: &Gates) {
    gates.open_all();
    assert_eq!(answer(start(guest, "sum", [7, 5])), sum(7, 5, &mut w));
    let stats = block_on(guest.stats()).unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn a_call_that_never_started() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    drop(start(&guest, "sum", [1, 1]));
    is_well(&guest, &gates);
}

#[test]
fn a_parked_call_loses_its_import_at_once() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let (guest, gates) = with_policy(policy);
        let module = flight::module(&Engine::default(), "stack.wasm");
        let base = stack_pointer(&guest, &module);
        let mut first = start(&guest, "sum", [1, 1]);
        let mut second = start(&guest, "recurse", [9, 3]);
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        drop(first);
        assert_eq!(gates.dropped(), 1);
        drop(second);
        assert_eq!(gates.dropped(), 2);
        assert_eq!(stack_pointer(&guest, &module), base);
        is_well(&guest, &gates);
    }
}

/// Its import has answered, and the guest was not rewound yet.
#[test]
fn a_call_that_is_ready_to_go_on() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    let mut call = start(&guest, "sum", [1, 1]);
    assert!(poll(&mut call).is_pending());
    gates.open(gates.waiting()[0]);
    drop(call);
    is_well(&guest, &gates);
}

/// Keeps the guest on another thread while `f` runs here.
fn while_held<R>(guest: &Guest, f: impl FnOnce() -> R) -> R {
    let (taken, wait_taken) = channel();
    let (release, wait_release) = channel::<()>();
    std::thread::scope(|scope| {
        let holder = scope.spawn(move || {
            block_on(guest.with(|_| {
                taken.send(()).unwrap();
                wait_release.recv().unwrap();
            }))
            .unwrap();
        });
        wait_taken.recv().unwrap();
        let result = f();
        release.send(()).unwrap();
        holder.join().unwrap();
        result
    })
}

#[test]
fn calls_that_wait_for_the_lock() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    let mut ready = start(&guest, "sum", [1, 1]);
    assert!(poll(&mut ready).is_pending());
    gates.open(gates.waiting()[0]);
    let woken = Arc::new(Count::default());
    let mut other = start(&guest, "sum", [2, 1]);
    while_held(&guest, || {
        let mut fresh = start(&guest, "sum", [1, 1]);
        assert!(poll(&mut fresh).is_pending());
        assert!(poll(&mut ready).is_pending());
        let waker = woken.waker();
        assert!(pin!(&mut other).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(format!("{ready:?}"), r#"Call { stage: "to be resumed", .. }"#);
        drop(fresh);
        drop(ready);
    });
    // The wake is not lost with those that were dropped.
    assert_eq!(woken.count(), 1);
    gates.open_all();
    assert_eq!(answer(other), sum(2, 1, &mut w));
    is_well(&guest, &gates);
}

/// `select!` on `&mut call` leaves such calls behind: they are kept, and nobody polls them.
#[test]
fn a_call_that_is_polled_no_more_stops_nobody() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    let mut forgotten = start(&guest, "sum", [1, 1]);
    let mut ready = start(&guest, "sum", [2, 1]);
    assert!(poll(&mut ready).is_pending());
    gates.open(gates.waiting()[0]);
    while_held(&guest, || {
        assert!(poll(&mut forgotten).is_pending());
        assert!(poll(&mut ready).is_pending());
    });
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (guest, gates) = (&guest, &gates);
            scope.spawn(move || {
                gates.open_all();
                assert_eq!(answer(start(guest, "sum", [seed, 3])), sum(seed, 3, &mut w));
            });
        }
    });
    assert_eq!(answer(forgotten), sum(1, 1, &mut w));
    assert_eq!(answer(ready), sum(2, 1, &mut w));
}

#[test]
fn select_and_timeout() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (guest, gates) = with_policy(StackPolicy::Separate);
        let mut call = start(&guest, "sum", [3, 2]);
        tokio::select! {
            biased;
            _ = &mut call => panic!("its gate is closed"),
            () = tokio::task::yield_now() => {}
        }
        let short = std::time::Duration::from_millis(1);
        let late = tokio::time::timeout(short, start(&guest, "sum", [1, 1])).await;
        assert!(late.is_err());
        assert_eq!(gates.dropped(), 1);
        gates.open_all();
        let other = start(&guest, "sum", [4, 2]).await.unwrap();
        assert_eq!(other[0].unwrap_i32().cast_unsigned(), sum(4, 2, &mut w));
        let answer = call.await.unwrap();
        assert_eq!(answer[0].unwrap_i32().cast_unsigned(), sum(3, 2, &mut w));
    });
}

#[test]
fn a_guest_that_grows_meanwhile() {
    let engine = Engine::default();
    let gates = Gates::default();
    let builder = Guest::builder(&flight::module(&engine, "values.wasm"));
    let builder = builder.async_imports(flight::values_imports(&engine, &gates));
    let guest = block_on(builder.instantiate()).unwrap();
    let grow = guest.all_exports().typed::<(u32,), (u32,)>("grow_around").unwrap();
    let mut dropped = grow.call((3,));
    let mut kept = grow.call((2,));
    assert!(poll(&mut dropped).is_pending() && poll(&mut kept).is_pending());
    // Each is between its two growths. This one goes on to the second, and is dropped after it.
    gates.open(gates.waiting()[0]);
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    gates.open_all();
    assert_eq!(block_on(kept).unwrap(), (w(1) + w(2),));
}

#[test]
fn an_answer_instead_of_the_imports() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    let mut call = start(&guest, "recurse", [5, 3]);
    assert!(matches!(call.cancel(&[i32(1)]), Err(Error::NotParked { .. })));
    assert!(poll(&mut call).is_pending());
    call.cancel(&[i32(1)]).unwrap();
    assert_eq!(gates.dropped(), 1);
    assert!(matches!(call.cancel(&[i32(1)]), Err(Error::NotParked { .. })));
    assert_eq!(answer(call), flight::answers::recurse(5, 3, &mut |_| 1));

    let mut wrong = start(&guest, "recurse", [5, 3]);
    assert!(poll(&mut wrong).is_pending());
    wrong.cancel(&[Val::I64(1)]).unwrap();
    let error = block_on(wrong).unwrap_err();
    assert!(matches!(error, Error::BadValue { .. }), "{error}");
    is_well(&guest, &gates);
}

#[test]
fn a_call_that_has_ended_stays_ended() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    gates.open_all();
    let mut call = start(&guest, "sum", [1, 1]);
    assert!(poll(&mut call).is_ready());
    assert!(matches!(poll(&mut call), Poll::Ready(Err(Error::CallEnded))));
    assert!(matches!(call.cancel(&[]), Err(Error::NotParked { .. })));
}

/// The text stays in the guest for as long as the call does, and no longer.
struct Greeter {
    /// Answers where the greeting lies, and how long it is.
    greet_after: ExportFn<(Ref<str>, ()), Direct, u64>,
}

impl Exports for Greeter {
    const NAME: &'static str = "Greeter";
    const EXPORTS: &'static [ExportInfo] = &[ExportInfo::new::<Direct, u64>(
        "greet_after",
        true,
        &[ParamInfo::arg_by_ref::<str>("name", "&str")],
        "u64",
        "",
    )];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        Some(Self { greet_after: lookup.function(&Self::EXPORTS[0])? })
    }
}

#[test]
fn what_was_placed_for_the_arguments_is_freed() {
    let engine = Engine::default();
    let gates = Gates::default();
    let mut imports = asyncify_rt::AsyncImports::new();
    let waiting = gates.clone();
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], [ValType::I32]);
    imports.define("env", "take_str", ty, move |_, _| {
        let gate = waiting.wait();
        Ok(asyncify_rt::ImportResult::wait(async move {
            gate.await;
            Ok(vec![i32(0)])
        }))
    });
    let builder = Guest::builder(&flight::module(&engine, "marshal.wasm")).async_imports(imports);
    let guest = block_on(builder.trap_unknown_imports().instantiate()).unwrap();
    let live = || {
        let count = guest.with(|cx| cx.call::<(), u32>("live_allocations", ()));
        block_on(count).unwrap().unwrap()
    };
    let greeter: Greeter = guest.exports().unwrap();
    // The first calls make the window, and a region.
    let warm: Vec<_> = (0..2).map(|_| parked(&greeter)).collect();
    drop(warm);
    let before = live();
    for round in 0..2_000 {
        let mut call = parked(&greeter);
        if round % 2 == 0 {
            call.cancel(&[i32(0)]).unwrap();
            take_greeting(&guest, block_on(call).unwrap());
        }
    }
    let kept = parked(&greeter);
    assert_eq!(live(), before + 1);
    gates.open_all();
    take_greeting(&guest, block_on(kept).unwrap());
    assert_eq!(live(), before);
}

fn take_greeting(guest: &Guest, packed: u64) {
    let (at, len) = ((packed & 0xffff_ffff) as u32, (packed >> 32) as u32);
    block_on(guest.with(|cx| {
        assert_eq!(cx.read(at, len).unwrap(), b"Hello, visitor!");
        cx.free(Slice { ptr: at, len }).unwrap();
    }))
    .unwrap();
}

fn parked(greeter: &Greeter) -> Call<u64> {
    let mut call = greeter.greet_after.call(("visitor".to_owned(), ()));
    assert!(poll(&mut call).is_pending());
    call
}

#[test]
fn a_guest_that_is_dropped_before_its_calls() {
    let (guest, gates) = stack_guest(|builder| builder);
    let mut call = start(&guest, "sum", [1, 1]);
    assert!(poll(&mut call).is_pending());
    let weak = guest.downgrade();
    drop(guest);
    gates.open_all();
    assert_eq!(answer(call), sum(1, 1, &mut w));
    assert!(matches!(weak.upgrade(), Err(Error::GuestGone)));
}
