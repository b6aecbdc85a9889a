//! What a cost grows with, and what it does not grow with.

mod measure;

use std::pin::Pin;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use asyncify::{Call, Module};
use asyncify_benches::host::Host;
use asyncify_benches::ours::{self, BenchExports};
use asyncify_benches::{chart, docs, drive, process, table};
use wasmtime::{Config, Engine};

use measure::{Point, Scale, best_of, per, per_item};

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    // For 10,000 frames: `wasmtime`'s own limit ends them between 1,000 and 10,000.
    let mut config = Config::new();
    config.max_wasm_stack(4 << 20);
    #[cfg(feature = "fibers")]
    config.async_stack_size(6 << 20);
    let engine = Engine::new(&config).expect("the engine starts");
    let module = ours::module(&engine);
    let scales = [
        parked(&module, quick),
        frames(&module, quick),
        bytes(&module, quick),
        one_guest(&module, quick),
        own_guests(&module, quick),
    ];
    for scale in &scales {
        println!("{}", scale.table());
    }
    let folder = docs();
    table::write(&folder, "scaling.json", &measure::json(&scales));
    chart::draw(&folder);
}

fn park(exports: &BenchExports, frames: u32) -> Call<u32> {
    let mut call = exports.spin(frames, 1);
    assert!(drive::poll_once(Pin::new(&mut call)).is_pending());
    call
}

/// A call that failed was quick for nothing.
fn answered(call: Call<u32>) {
    drive::spin(call).expect("the guest answers");
}

/// One call suspends and resumes while so many others are parked in its instance.
fn parked(module: &Module, quick: bool) -> Scale {
    let most = if quick { 100_000 } else { 1_000_000 };
    let (_guest, exports) = ours::instantiate(module, Host::default());
    let mut points = Vec::new();
    let mut others = Vec::new();
    let mut count = 1;
    let before = process::resident();
    while count <= most {
        others.extend((others.len()..count).map(|_| park(&exports, 3)));
        let bytes = process::resident().saturating_sub(before) / count as u64;
        let cycle = best_of(quick, || per(20_000, |n| answered(exports.spin(3, n))));
        points.push(Point { bytes: (count >= 1_000).then_some(bytes), ..Point::new(count, cycle) });
        count *= 10;
    }
    let start = Instant::now();
    for call in others.drain(..) {
        assert!(drive::spin(call).is_ok());
    }
    let each = per_item(start.elapsed(), most);
    println!("resuming all {most} of them, in the order they came: {each:.0} ns each\n");
    Scale::new("Calls parked in one instance", "calls parked", "suspend and resume", points)
}

/// One call suspends and resumes below so many frames.
fn frames(module: &Module, quick: bool) -> Scale {
    let (_guest, exports) = ours::instantiate(module, Host::default());
    let points = [0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000].map(|frames: u32| {
        let times = (2_000_000 / (frames + 10)).min(20_000);
        let cycle = best_of(quick, || per(times, |n| answered(exports.spin(frames, n))));
        Point::new(frames as usize, cycle)
    });
    Scale::new("Frames between export and import", "frames", "suspend and resume", points.into())
}

/// An import that is ready at once takes so many bytes, copied for its future.
fn bytes(module: &Module, quick: bool) -> Scale {
    let (_guest, exports) = ours::instantiate(module, Host::default());
    let points = [0, 32, 1 << 10, 8 << 10, 64 << 10, 256 << 10, 1 << 20].map(|len: u32| {
        let times = (200_000_000 / (len + 1_000)).min(50_000);
        let call = best_of(quick, || per(times, |n| answered(exports.bytes(n, len))));
        Point::new(len as usize, call)
    });
    Scale::new("Bytes of an argument", "bytes", "call of an async import", points.into())
}

/// So many threads each drive a call of the same guest: they take turns.
fn one_guest(module: &Module, quick: bool) -> Scale {
    let points = [1, 2, 4, 8].map(|threads: usize| {
        let (_guest, exports) = ours::instantiate(module, Host::default());
        Point::new(threads, best_of(quick, || run_threads(threads, |_| exports.clone())))
    });
    Scale::new("Threads that call one guest", "threads", "suspend and resume", points.into())
}

/// So many threads each drive a call of their own guest.
fn own_guests(module: &Module, quick: bool) -> Scale {
    let points = [1, 2, 4, 8].map(|threads: usize| {
        let guests: Vec<_> =
            (0..threads).map(|_| ours::instantiate(module, Host::default())).collect();
        let cost = best_of(quick, || run_threads(threads, |index| guests[index].1.clone()));
        Point::new(threads, cost)
    });
    Scale::new("Threads with a guest each", "threads", "suspend and resume", points.into())
}

/// All cycles of all threads, from when the first began until the last ended.
fn run_threads(threads: usize, exports: impl Fn(usize) -> BenchExports) -> f64 {
    const CYCLES: u32 = 20_000;
    let barrier = Barrier::new(threads);
    let drive = |exports: BenchExports| {
        barrier.wait();
        let start = Instant::now();
        drive::block_on(exports.spin(0, CYCLES)).expect("the guest answers");
        (start, Instant::now())
    };
    let drive = &drive;
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let each = (0..threads).map(|index| {
            let exports = exports(index);
            scope.spawn(move || drive(exports))
        });
        let each: Vec<_> = each.collect();
        each.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let start = times.iter().map(|(start, _)| *start).min().expect("there is a thread");
    let end = times.iter().map(|(_, end)| *end).max().expect("there is a thread");
    per_item(end - start, CYCLES as usize * threads)
}
