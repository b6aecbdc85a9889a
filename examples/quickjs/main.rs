//! Unmodified QuickJS runs scripts whose blocking calls are async Rust.
//!
//! ```sh
//! npm ci --prefix examples/quickjs
//! cargo run --example quickjs -- script.js
//! cargo run --example quickjs
//! ```

mod emscripten;
mod host;
mod interpreter;
mod js;
mod server;
mod values;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use asyncify::Error;

use host::Host;
use interpreter::{Interpreter, Outcome, WASM_STACK};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        // Wasm runs on the thread that polls the call.
        .thread_stack_size(WASM_STACK + (2 << 20))
        .enable_all()
        .build()?;
    let script = std::env::args().nth(1);
    let ended = runtime.block_on(runtime.spawn(async move {
        let host = Arc::new(Host::new());
        let quickjs = Interpreter::start(Arc::clone(&host)).await?;
        match script {
            Some(path) => run_file(&quickjs, &path).await,
            None => prompt(&quickjs, &host).await,
        }
    }))?;
    match ended {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("{}", explained(&*error));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn run_file(quickjs: &Interpreter, path: &str) -> Result<ExitCode, Failure> {
    let source = tokio::fs::read_to_string(path).await;
    let source = source.map_err(|error| format!("cannot read `{path}`: {error}"))?;
    let module = Path::new(path).extension().is_some_and(|extension| extension == "mjs");
    let problem = match quickjs.run(source, path, module).await? {
        Outcome::Value(_) => return Ok(ExitCode::SUCCESS),
        Outcome::Exception(error) => error,
        Outcome::Unsettled => "the script waits for a promise that nothing settles".to_owned(),
    };
    eprintln!("{problem}");
    if problem.lines().next().is_some_and(|line| line.ends_with("Error: stack overflow")) {
        eprintln!("{}", too_deep());
    }
    Ok(ExitCode::FAILURE)
}

/// Reads a line, runs it, shows what it gives.
async fn prompt(quickjs: &Interpreter, host: &Host) -> Result<ExitCode, Failure> {
    while let Some(line) = host.read_line("> ").await? {
        match quickjs.run(line, "<prompt>", false).await? {
            Outcome::Value(text) | Outcome::Exception(text) => println!("{text}"),
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
        WASM_STACK >> 10
    )
}
