//! Unmodified QuickJS runs scripts whose blocking calls are async Rust.
//!
//! ```sh
//! npm ci --prefix examples/quickjs
//! cargo run --example quickjs -- script.js    # or several, which wait for each other in no way
//! cargo run --example quickjs                 # a prompt
//! ```

mod emscripten;
mod host;
mod interpreter;
mod js;
mod limits;
mod rejections;
mod script;
mod server;
mod table;
mod values;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use asyncify::Error;
use futures::future::try_join_all;

use host::Host;
use interpreter::Interpreter;
use script::{Outcome, Script};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        // Wasm runs on the thread that polls the call.
        .thread_stack_size(limits::THREAD_STACK)
        .enable_all()
        .build()?;
    let files: Vec<String> = std::env::args().skip(1).collect();
    let ended = runtime.block_on(runtime.spawn(async move {
        let host = Arc::new(Host::new());
        let quickjs = Interpreter::start(Arc::clone(&host)).await?;
        if files.is_empty() {
            return prompt(&quickjs.script().await?, &host).await;
        }
        let ends = try_join_all(files.iter().map(|path| run_file(&quickjs, path))).await?;
        let all_well = ends.into_iter().all(|well| well);
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }))?;
    match ended {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("{}", explained(&*error));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Runs a script in a runtime of its own: whether it ended well.
async fn run_file(quickjs: &Interpreter, path: &str) -> Result<bool, Failure> {
    let source = tokio::fs::read_to_string(path).await;
    let source = source.map_err(|error| format!("cannot read `{path}`: {error}"))?;
    let module = Path::new(path).extension().is_some_and(|extension| extension == "mjs");
    let script = quickjs.script().await?;
    let problem = match script.run(source, path, module).await? {
        Outcome::Value(_) => return Ok(true),
        Outcome::Uncaught(error) => format!("Uncaught {error}"),
        Outcome::Rejected(error) => format!("Unhandled rejection: {error}"),
        Outcome::Unsettled => format!("`{path}` waits for a promise that nothing settles"),
    };
    eprintln!("{problem}");
    if problem.lines().next().is_some_and(|line| line.ends_with("Error: stack overflow")) {
        eprintln!("{}", too_deep());
    }
    Ok(false)
}

/// Reads a line, runs it, shows what it gives.
async fn prompt(script: &Script, host: &Host) -> Result<ExitCode, Failure> {
    while let Some(line) = host.read_line("> ").await? {
        match script.run(line, "<prompt>", false).await? {
            Outcome::Value(text) => println!("{text}"),
            Outcome::Uncaught(text) => println!("Uncaught {text}"),
            Outcome::Rejected(text) => println!("Unhandled rejection: {text}"),
            Outcome::Unsettled => println!("[Promise]"),
        }
    }
    println!();
    Ok(ExitCode::SUCCESS)
}

/// An error with its causes, and with advice where the reader can do something.
fn explained(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<Error>() {
        Some(Error::File { path, .. }) => {
            format!("`{path}` is missing; run `npm ci --prefix examples/quickjs`")
        }
        Some(Error::StackOverflow { .. }) => too_deep(),
        _ => with_causes(error),
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn too_deep() -> String {
    format!(
        "the script recurses too deeply for a wasm stack of {} KiB; raise `Config::max_wasm_stack` (and `async_stack_size`, which must not be less), the stack of the threads that run the guest, and QuickJS's own limit",
        limits::WASM_STACK >> 10
    )
}
