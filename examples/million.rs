//! A million calls suspended at once in one instance of a C guest, resumed in the order they came,
//! and in random order.
//!
//! ```text
//! cargo run --release --example million
//! cargo run --release --example million -- 200000   as many calls at most
//! ```
//!
//! Each call recurses with arrays on its stack, and waits at the bottom. The memory of a call is
//! everything that the process allocates for it, less the bytes of the call's own stack: its
//! unwound frames and its part of the shadow stack. Bytes are counted in the allocator, which is
//! the system's.
//!
//! A thousand calls fit into the processor's caches and a million do not, so the more there are,
//! the longer it takes to come upon one at random. How much of that is the memory's own doing is
//! shown beside it: as many blocks of about as many bytes, allocated and written in the order that
//! calls are parked in, read and freed in the same random order, and no guest.

use std::alloc::System;
use std::future::poll_fn;
use std::io::{IsTerminal, Write, stderr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use asyncify::wasmtime::Engine;
use asyncify::{Call, Guest, Module, StackPolicy};
use cap::Cap;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const DEPTH: u32 = 2;
/// Bytes of host memory that a suspended call may take beside its own stack.
const MOST_BYTES: usize = 320;
/// Rounds of the smallest sizes: a thousand calls are too quick to time.
const MOST_ROUNDS: u32 = 100;
/// Calls of the first row, which the last one is compared with.
const FIRST: u32 = 1_000;
const LARGEST: u32 = 1_000_000;
/// The fewest that differ from the first row.
const LEAST_CALLS: u32 = 10_000;
/// As many as a guest parks by default.
const MOST_CALLS: u32 = 2_000_000;

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

/// What one size came to, for each call.
#[derive(Default)]
struct Row {
    park: Duration,
    /// In the order they were parked, and in random order.
    in_order: Duration,
    resume: Duration,
    /// Bytes on the host, and how many of them are the call's own stack.
    bytes: usize,
    stack: usize,
    /// How long blocks of memory take that are no calls.
    write: Duration,
    read: Duration,
}

/// How many calls there are at most, as the command line says.
fn largest(arguments: &[String]) -> Option<u32> {
    match arguments {
        [] => Some(LARGEST),
        [calls] => calls.parse().ok().filter(|calls| (LEAST_CALLS..=MOST_CALLS).contains(calls)),
        _ => None,
    }
}

/// Powers of ten, and the largest.
fn sizes(largest: u32) -> Vec<u32> {
    let powers = std::iter::successors(Some(FIRST), |calls| calls.checked_mul(10));
    powers.take_while(|calls| *calls < largest).chain([largest]).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(largest) = largest(&arguments) else {
        eprintln!("usage: million [CALLS], from {LEAST_CALLS} to {MOST_CALLS}");
        return ExitCode::from(2);
    };
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build, which is many times slower; use `cargo run --release --example million`"
        );
    }
    match measure(largest).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            clear_bar();
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(largest: u32) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/stack.wasm");
    let module = Module::from_file(&engine, path)?;
    let mut rows = Vec::new();
    println!(
        "                  one call, resumed       bytes of host memory              memory alone"
    );
    println!(
        "    calls     park  in order at random      all   own stack   the rest      write     read"
    );
    for calls in sizes(largest) {
        let row = run(&module, calls, largest).await?;
        clear_bar();
        println!(
            "{calls:>9} {:>8?} {:>9?} {:>9?} {:>8} {:>11} {:>10}   {:>8?} {:>8?}",
            row.park,
            row.in_order,
            row.resume,
            row.bytes,
            row.stack,
            row.bytes - row.stack,
            row.write,
            row.read,
        );
        rows.push(row);
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    println!("from the first row to the last");
    growth("parking", [first.park, last.park]);
    growth("resuming in order", [first.in_order, last.in_order]);
    growth("resuming at random", [first.resume, last.resume]);
    growth("writing memory alone", [first.write, last.write]);
    growth("reading it at random", [first.read, last.read]);
    let added = |[few, many]: [Duration; 2]| many.saturating_sub(few).as_secs_f64();
    let slower = added([first.resume, last.resume]);
    if slower > 0.0 {
        println!(
            "  memory alone is {:.0} % of what is added to a call that is resumed at random",
            100.0 * added([first.read, last.read]) / slower,
        );
    }
    println!("every answer was right");
    match rows.iter().map(|row| row.bytes - row.stack).max() {
        Some(most) if most > MOST_BYTES => {
            Err(format!("a call takes {most} bytes, more than {MOST_BYTES}").into())
        }
        _ => Ok(()),
    }
}

/// Tells how much longer one takes among very many.
fn growth(what: &str, [few, many]: [Duration; 2]) {
    println!("  {what} takes {:.1} times as long", many.as_secs_f64() / few.as_secs_f64());
}

/// Parks so many calls in one guest and resumes them, more often if they are few.
async fn run(module: &Module, calls: u32, largest: u32) -> Result<Row, Box<dyn std::error::Error>> {
    let host = Arc::new(Host::default());
    let guest = Guest::builder(module)
        .shared_imports(Arc::clone(&host))
        .stack_policy(StackPolicy::Copied)
        // The guest has no allocator, so the window is borrowed: as much of it is copied at each park.
        .window_size(1 << 10)
        .instantiate()
        .await?;
    let app: AppExports = guest.exports()?;
    let mut order: Vec<u32> = (0..calls).collect();
    shuffle(&mut order);
    let rounds = (largest / calls).min(MOST_ROUNDS);
    let mut progress = Progress { calls, steps: 4 * (rounds + 1), step: 0 };
    // In a first round memory is had from the operating system, or comes as the rounds before it
    // left it. Its time does not count.
    let mut row = round_of(&guest, &app, &host, &order, &mut progress).await?;
    (row.park, row.resume) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let round = round_of(&guest, &app, &host, &order, &mut progress).await?;
        row.park += round.park;
        row.resume += round.resume;
    }
    let in_order: Vec<u32> = (0..calls).collect();
    round_of(&guest, &app, &host, &in_order, &mut progress).await?;
    for _ in 0..rounds {
        let round = round_of(&guest, &app, &host, &in_order, &mut progress).await?;
        row.in_order += round.resume;
    }
    memory_alone(&order);
    for _ in 0..rounds {
        let (write, read) = memory_alone(&order);
        row.write += write;
        row.read += read;
    }
    let Row { park, in_order, resume, write, read, .. } = &mut row;
    for time in [park, in_order, resume, write, read] {
        *time /= rounds * calls;
    }
    Ok(row)
}

async fn round_of(
    guest: &Guest,
    app: &AppExports,
    host: &Host,
    order: &[u32],
    progress: &mut Progress,
) -> Result<Row, Box<dyn std::error::Error>> {
    let (calls, count) = (order.len(), u32::try_from(order.len())?);
    host.called.store(NOBODY, Ordering::Relaxed);
    let before = allocated();
    let mut parked: Vec<Option<Call<u32>>> = Vec::with_capacity(calls);

    let start = Instant::now();
    for tag in 0..count {
        let mut call = app.recurse(DEPTH, tag);
        if poll(&mut call).is_ready() {
            return Err("a call did not wait".into());
        }
        parked.push(Some(call));
        progress.show("parking", tag);
    }
    let park = start.elapsed();
    progress.step += 1;
    let bytes = (allocated() - before) / calls;
    let stats = guest.stats().await?;
    if stats.parked_calls != calls {
        return Err("not all of them are suspended".into());
    }
    let stack = usize::try_from(stats.parked_bytes)? / calls;

    let start = Instant::now();
    for (done, &tag) in (0..).zip(order) {
        host.called.store(tag, Ordering::Relaxed);
        let Some(mut call) = parked[tag as usize].take() else { continue };
        match poll(&mut call) {
            Poll::Ready(Ok(result)) if result == expected(DEPTH, tag) => {}
            Poll::Ready(Err(error)) => return Err(error.into()),
            _ => return Err(format!("call {tag} is not right").into()),
        }
        progress.show("resuming", done);
    }
    let resume = start.elapsed();
    progress.step += 1;
    Ok(Row { park, resume, bytes, stack, ..Row::default() })
}

/// A block of memory. Four of them, each found through the one before, are as much as a call's own
/// box, its import's, its record and its frames.
struct Block {
    next: Option<Box<Block>>,
    words: [u64; 12],
}

/// How long all blocks take to be allocated and written, and to be read and freed.
fn memory_alone(order: &[u32]) -> (Duration, Duration) {
    let mut blocks: Vec<Option<Box<Block>>> = Vec::with_capacity(order.len());
    let start = Instant::now();
    for tag in 0..order.len() as u64 {
        let add = |next, _| Some(Box::new(Block { next, words: [tag; 12] }));
        blocks.push((0..4).fold(None, add));
    }
    let write = start.elapsed();

    let start = Instant::now();
    for &tag in order {
        let mut block = blocks[tag as usize].take();
        while let Some(mut this) = block {
            this.words.iter_mut().for_each(|word| *word += 1);
            std::hint::black_box(&this.words);
            block = this.next.take();
        }
    }
    (write, start.elapsed())
}

fn poll(call: &mut Call<u32>) -> Poll<asyncify::Result<u32>> {
    Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    ALLOCATOR.allocated()
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

/// How far the rounds of one row are. Each has two steps, parking and resuming.
struct Progress {
    calls: u32,
    steps: u32,
    step: u32,
}

impl Progress {
    /// Shows it on a terminal, seldom enough that no time is lost.
    fn show(&self, what: &str, done: u32) {
        const WIDTH: u64 = 40;
        if !done.is_multiple_of(20_000) || !stderr().is_terminal() {
            return;
        }
        let calls = u64::from(self.calls);
        let full = (u64::from(self.step) * calls + u64::from(done)) * WIDTH
            / (u64::from(self.steps) * calls);
        let bar: String = (0..WIDTH).map(|at| if at < full { '=' } else { ' ' }).collect();
        eprint!("\r{what:>9} [{bar}] {calls}");
        let _ = stderr().flush();
    }
}

fn clear_bar() {
    if stderr().is_terminal() {
        eprint!("\r{:70}\r", "");
    }
}
