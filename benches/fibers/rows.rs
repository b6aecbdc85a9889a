//! The rows that are a matter of time.

use std::cell::RefCell;
use std::hint::black_box;
use std::pin::pin;
use std::time::{Duration, Instant};

use asyncify_benches::by_hand::{self, Fibers};
use asyncify_benches::host::Host;
use asyncify_benches::{drive, ours};
use tokio::runtime::Runtime;
use wasmtime::Engine;

use crate::pair::Pairs;

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A call that failed was quick for nothing.
fn answered<T, E: std::fmt::Debug>(answer: Result<T, E>) {
    drop(black_box(answer.expect("the guest answers")));
}

/// As many as the guest can be asked for.
fn n(iters: u64) -> u32 {
    u32::try_from(iters).unwrap_or(u32::MAX)
}

/// What an import costs that does not wait.
pub(crate) fn imports(pairs: &mut Pairs) {
    let engine = Engine::default();
    let (_guest, exports) = ours::instantiate(&ours::module(&engine), Host::default());
    let hand = RefCell::new(by_hand::plain(&engine, "bench"));
    pairs.measure(
        "plain import, scalars : func_wrap",
        Some(1.10),
        |iters| timed(|| answered(drive::spin(exports.plain(n(iters))))),
        |iters| {
            timed(|| {
                let by_hand::Guest { store, plain, .. } = &mut *hand.borrow_mut();
                answered(plain.call(store, n(iters)));
            })
        },
    );
    pairs.measure(
        "plain import, &str of 32 bytes : func_wrap",
        Some(1.15),
        |iters| timed(|| answered(drive::spin(exports.text(n(iters))))),
        |iters| {
            timed(|| {
                let by_hand::Guest { store, text, .. } = &mut *hand.borrow_mut();
                answered(text.call(store, n(iters)));
            })
        },
    );
    let mut fibers = drive::spin(Fibers::new(&engine).instantiate(Host::default()));
    pairs.measure(
        "async import, ready at once",
        Some(0.45),
        |iters| timed(|| answered(drive::spin(exports.ready(n(iters))))),
        |iters| {
            timed(|| {
                let by_hand::Guest { store, ready, .. } = &mut fibers;
                answered(drive::spin(ready.call_async(store, n(iters))));
            })
        },
    );
}

/// What a call of an export costs.
pub(crate) fn exports(pairs: &mut Pairs) {
    let engine = Engine::default();
    let (guest, exports) = ours::instantiate(&ours::module(&engine), Host::default());
    let may_suspend: ours::MaySuspendExports = guest.exports().expect("the guest has it");
    let mut fibers = drive::spin(Fibers::new(&engine).instantiate(Host::default()));
    let mut theirs = |iters| {
        timed(|| {
            let by_hand::Guest { store, echo, .. } = &mut fibers;
            for x in 0..n(iters) {
                answered(drive::spin(echo.call_async(&mut *store, black_box(x))));
            }
        })
    };
    pairs.measure(
        "call of an export that does not suspend",
        Some(0.45),
        |iters| {
            timed(|| {
                for x in 0..n(iters) {
                    answered(drive::spin(exports.echo(black_box(x))));
                }
            })
        },
        &mut theirs,
    );
    pairs.measure(
        "the same, declared as an async fn",
        None,
        |iters| {
            timed(|| {
                for x in 0..n(iters) {
                    answered(drive::spin(may_suspend.echo(black_box(x))));
                }
            })
        },
        theirs,
    );
}

/// What waiting once costs.
pub(crate) fn suspensions(pairs: &mut Pairs) {
    let rows = [(0, Some(1.0)), (3, Some(1.3)), (10, Some(1.8)), (100, None)];
    let engine = Engine::default();
    let (_guest, exports) = ours::instantiate(&ours::module(&engine), Host::default());
    let mut fibers = drive::spin(Fibers::new(&engine).instantiate(Host::default()));
    for (frames, at_most) in rows {
        pairs.measure(
            &format!("suspend and resume, {frames} frames"),
            at_most,
            |iters| timed(|| answered(drive::spin(exports.spin(frames, n(iters))))),
            |iters| {
                timed(|| {
                    let by_hand::Guest { store, spin, .. } = &mut fibers;
                    answered(drive::spin(spin.call_async(store, (frames, n(iters)))));
                })
            },
        );
    }

    let rows = [(0, Some(1.0)), (3, Some(1.05)), (10, Some(1.2)), (100, None)];
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime().expect("tokio starts");
    let host = Host { tokio: true };
    let (_guest, exports) = ours::instantiate(&ours::module(&engine), host);
    let mut fibers = Some(drive::spin(Fibers::new(&engine).instantiate(host)));
    for (frames, at_most) in rows {
        pairs.measure(
            &format!("the same under tokio, {frames} frames"),
            at_most,
            |iters| {
                timed(|| {
                    black_box(in_task(&runtime, exports.spin(frames, n(iters))));
                })
            },
            |iters| {
                let mut guest = fibers.take().expect("it was put back");
                let call = async move {
                    let by_hand::Guest { store, spin, .. } = &mut guest;
                    let answer = spin.call_async(store, (frames, n(iters))).await;
                    answer.map(|_| guest)
                };
                timed(|| fibers = Some(in_task(&runtime, call)))
            },
        );
    }
    let mut fibers = fibers.expect("it was put back");
    for frames in [0, 10] {
        pairs.measure(
            &format!("under tokio, not spawned, {frames} frames"),
            None,
            |iters| timed(|| answered(runtime.block_on(exports.spin(frames, n(iters))))),
            |iters| {
                timed(|| {
                    let by_hand::Guest { store, spin, .. } = &mut fibers;
                    let call = spin.call_async(store, (frames, n(iters)));
                    answered(runtime.block_on(call));
                })
            },
        );
    }
}

/// The output of a call that is spawned, as a server does it.
fn in_task<R, E>(runtime: &Runtime, call: impl Future<Output = Result<R, E>> + Send + 'static) -> R
where
    R: Send + 'static,
    E: std::fmt::Debug + Send + 'static,
{
    let answer = runtime.block_on(async { tokio::spawn(call).await });
    answer.expect("it does not panic").expect("the guest answers")
}

/// What a fresh instance costs, up to its first suspension.
pub(crate) fn instances(pairs: &mut Pairs) {
    let engine = Engine::default();
    let module = ours::module(&engine);
    let fibers = Fibers::new(&engine);
    pairs.measure(
        "a fresh instance that suspends one call",
        None,
        |iters| {
            timed(|| {
                for _ in 0..iters {
                    let (_guest, exports) = ours::instantiate(&module, Host::default());
                    let mut call = exports.spin(3, 1);
                    assert!(drive::poll_once(pin!(&mut call)).is_pending());
                }
            })
        },
        |iters| {
            timed(|| {
                for _ in 0..iters {
                    let mut guest = drive::spin(fibers.instantiate(Host::default()));
                    let call = pin!(guest.spin.call_async(&mut guest.store, (3, 1)));
                    assert!(drive::poll_once(call).is_pending());
                }
            })
        },
    );
}

/// What being instrumented costs a guest that computes.
pub(crate) fn computing(pairs: &mut Pairs) {
    const N: u32 = 16;
    let engine = Engine::default();
    let run = |guest: &RefCell<by_hand::Guest>, iters: u64| {
        timed(|| {
            let by_hand::Guest { store, compute, .. } = &mut *guest.borrow_mut();
            for _ in 0..iters {
                answered(compute.call(&mut *store, black_box(N)));
            }
        })
    };
    let plain = RefCell::new(by_hand::plain(&engine, "bench-plain"));
    for (name, module) in [
        ("computing guest, whole module instrumented : not", "bench-whole"),
        ("computing guest, asyncify-imports@ : not", "bench"),
    ] {
        let instrumented = RefCell::new(by_hand::plain(&engine, module));
        pairs.measure(name, None, |iters| run(&instrumented, iters), |iters| run(&plain, iters));
    }
}
