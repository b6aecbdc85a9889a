//! A million calls suspended at once in one instance of a C guest, resumed in random order.
//!
//! `cargo run --release --example million`
//!
//! Times are those of calls that are not in the processor's caches: a thousand calls fit into them,
//! a million do not, and a call that has waited is seldom found there. So the caches are filled
//! with something else before calls are parked, and again before they are resumed.
//!
//! Each call recurses with arrays on its stack, and waits at the bottom. The memory of a call is
//! everything that the process allocates for it, less the bytes of the call's own stack: its
//! unwound frames and its part of the shadow stack.

use std::future::poll_fn;
use std::io::{IsTerminal, Write, stderr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use asyncify::wasmtime::Engine;
use asyncify::{Call, Guest, Module, StackPolicy};
use cap::Cap;
use mimalloc::MiMalloc;

/// Counts what is allocated. Freeing in random order is slow with the system's allocator on some
/// systems, whoever does it; with this one it is not.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

const DEPTH: u32 = 2;
/// Bytes of host memory that a suspended call may take beside its own stack.
const MOST_BYTES: usize = 320;
/// Rounds of the smallest sizes: a thousand calls are too quick to time.
const MOST_ROUNDS: u32 = 100;
const LARGEST: u32 = 1_000_000;
/// More than the processor's caches hold.
const CACHES: usize = 64 << 20;

/// Answers whoever asks with the tag that is called.
#[derive(Default)]
struct Host {
    called: AtomicU32,
}

const NOBODY: u32 = u32::MAX;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&self, tag: u32) -> u32 {
        poll_fn(|_| {
            if self.called.load(Ordering::Relaxed) == tag {
                Poll::Ready(answer(tag))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

#[asyncify::exports]
trait App {
    /// Waits once, `depth` frames down.
    async fn recurse(&self, depth: u32, tag: u32) -> u32;
}

fn answer(tag: u32) -> u32 {
    tag.wrapping_mul(3).wrapping_add(1)
}

/// What `recurse` must return.
fn expected(depth: u32, tag: u32) -> u32 {
    (1..=depth).fold(answer(tag), |so_far, depth| {
        let first = tag.wrapping_add(depth).wrapping_mul(2_654_435_761);
        (0..4).fold(so_far, |so_far, i| (so_far ^ first.wrapping_add(i)).wrapping_mul(16_777_619))
    })
}

/// What one size came to.
#[derive(Default)]
struct Row {
    park: Duration,
    resume: Duration,
    /// Bytes on the host for each call, and how many of them are the call's own stack.
    bytes: usize,
    stack: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/stack.wasm");
    let module = Module::from_file(&engine, path)?;
    let mut rows = Vec::new();
    println!("    calls   park one   resume one   bytes each   own stack   host's part");
    for calls in [1_000, 10_000, 100_000, LARGEST] {
        let row = run(&module, calls).await?;
        clear_bar();
        println!(
            "{calls:>9}   {:>8?}   {:>10?}   {:>10}   {:>9}   {:>11}",
            row.park,
            row.resume,
            row.bytes,
            row.stack,
            row.bytes - row.stack
        );
        rows.push(row);
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let ratio = |of: fn(&Row) -> Duration| of(last).as_secs_f64() / of(first).as_secs_f64();
    println!(
        "from the first row to the last, parking takes {:.2} times as long, resuming {:.2}",
        ratio(|row| row.park),
        ratio(|row| row.resume)
    );
    println!("every answer was right");
    match rows.iter().map(|row| row.bytes - row.stack).max() {
        Some(most) if most > MOST_BYTES => {
            Err(format!("a call takes {most} bytes, more than {MOST_BYTES}").into())
        }
        _ => Ok(()),
    }
}

/// Parks so many calls in one guest and resumes them, more often if they are few.
async fn run(module: &Module, calls: u32) -> Result<Row, Box<dyn std::error::Error>> {
    let host = Arc::new(Host::default());
    let guest = Guest::builder(module)
        .shared_imports(Arc::clone(&host))
        .stack_policy(StackPolicy::Copied)
        .instantiate()
        .await?;
    let app: AppExports = guest.exports()?;
    // In the first round memory is had from the operating system, for all that is ever needed. It
    // is where bytes are counted; the others are where time is taken.
    let mut row = round_of(&guest, &app, &host, calls).await?;
    (row.park, row.resume) = (Duration::ZERO, Duration::ZERO);
    let rounds = (LARGEST / calls).min(MOST_ROUNDS);
    for _ in 0..rounds {
        let round = round_of(&guest, &app, &host, calls).await?;
        row.park += round.park;
        row.resume += round.resume;
    }
    let all = rounds * calls;
    (row.park, row.resume) = (row.park / all, row.resume / all);
    Ok(row)
}

async fn round_of(
    guest: &Guest,
    app: &AppExports,
    host: &Host,
    calls: u32,
) -> Result<Row, Box<dyn std::error::Error>> {
    let mut order: Vec<u32> = (0..calls).collect();
    shuffle(&mut order);
    host.called.store(NOBODY, Ordering::Relaxed);
    let before = allocated();
    let mut parked: Vec<Option<Call<u32>>> = Vec::with_capacity(calls as usize);

    fill_caches();
    let start = Instant::now();
    for tag in 0..calls {
        let mut call = app.recurse(DEPTH, tag);
        if poll(&mut call).is_ready() {
            return Err("a call did not wait".into());
        }
        parked.push(Some(call));
        bar("parking", tag, calls);
    }
    let park = start.elapsed();
    let bytes = (allocated() - before) / calls as usize;
    let stats = guest.stats().await?;
    if stats.parked_calls != calls as usize {
        return Err("not all of them are suspended".into());
    }
    let stack = usize::try_from(stats.parked_bytes)? / calls as usize;

    fill_caches();
    let start = Instant::now();
    for (done, tag) in (0..).zip(order) {
        host.called.store(tag, Ordering::Relaxed);
        let Some(mut call) = parked[tag as usize].take() else { continue };
        match poll(&mut call) {
            Poll::Ready(Ok(result)) if result == expected(DEPTH, tag) => {}
            Poll::Ready(Err(error)) => return Err(error.into()),
            _ => return Err(format!("call {tag} is not right").into()),
        }
        bar("resuming", done, calls);
    }
    let resume = start.elapsed();
    Ok(Row { park, resume, bytes, stack })
}

fn poll(call: &mut Call<u32>) -> Poll<asyncify::Result<u32>> {
    Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    ALLOCATOR.allocated()
}

/// Puts something else into the processor's caches.
fn fill_caches() {
    let mut bytes = vec![1_u8; CACHES];
    bytes.iter_mut().step_by(64).for_each(|byte| *byte += 1);
    std::hint::black_box(&bytes);
}

/// Into an order that looks random (Fisher and Yates, by Marsaglia's xorshift).
fn shuffle(order: &mut [u32]) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..order.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let below = (u128::from(random) * (last as u128 + 1)) >> 64;
        order.swap(last, usize::try_from(below).unwrap_or_default());
    }
}

/// Shows how far it is, on a terminal.
fn bar(what: &str, done: u32, of: u32) {
    const WIDTH: usize = 40;
    if !done.is_multiple_of(20_000) || !stderr().is_terminal() {
        return;
    }
    let full = (done as usize * WIDTH) / of as usize;
    eprint!("\r{what:>9} [{}{}] {of}", "=".repeat(full), " ".repeat(WIDTH - full));
    let _ = stderr().flush();
}

fn clear_bar() {
    if stderr().is_terminal() {
        eprint!("\r{:70}\r", "");
    }
}
