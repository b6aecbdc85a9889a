//! One QuickJS in one guest, in which any number of scripts wait at one time.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use asyncify::wasmtime::{Config, Engine};
use asyncify::{Error, Guest, Module, Place, Result, StackPolicy};

use crate::emscripten::Emscripten;
use crate::host::Host;
use crate::js::{Context, Runtime, Value};
use crate::limits;
use crate::rejections::{self, Rejections};
use crate::script::Script;
use crate::table;
use crate::values::{Arguments, CText, Ignored, Source};

const MODULE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/quickjs/node_modules/@jitl/quickjs-wasmfile-release-asyncify/dist/emscripten-module.wasm"
);

/// The functions of QuickJS that run a script's code, under their minified names.
#[asyncify::exports]
pub(crate) trait QuickJs {
    #[asyncify(name = "qa")]
    async fn eval(
        &self,
        context: Context,
        source: Source,
        file: CText,
        detect_module: bool,
        flags: u32,
    ) -> Value;

    #[asyncify(name = "na")]
    async fn call(
        &self,
        context: Context,
        function: Value,
        this: Value,
        arguments: Arguments,
    ) -> Value;

    /// Runs up to `most` jobs, or all if it is negative: how many, or what one of them threw.
    #[asyncify(name = "ha")]
    async fn execute_jobs(&self, runtime: Runtime, most: i32, last_context: Ignored) -> Value;
}

/// QuickJS, ready for scripts.
pub(crate) struct Interpreter {
    guest: Guest,
    quickjs: QuickJsExports,
    rejections: Rejections,
    /// The table's entry that they are told to.
    tracker: u32,
}

fn engine() -> asyncify::wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.max_wasm_stack(limits::WASM_STACK);
    #[cfg(feature = "cache")]
    config.cache(Some(asyncify::wasmtime::Cache::from_file(None)?));
    Engine::new(&config)
}

/// Compiles the module. A compiler that was built without optimization takes a while for a megabyte
/// of wasm, so it is said to whoever waits.
fn module() -> Result<Module> {
    let engine = engine().map_err(|error| Error::Config(error.to_string()))?;
    let file = |source| Error::File { path: MODULE.into(), source };
    let wasm = std::fs::read(MODULE).map_err(file)?;
    let wasm = table::exported(&wasm, rejections::TABLE)
        .ok_or_else(|| file(std::io::ErrorKind::InvalidData.into()))?;
    let terminal = stderr().is_terminal();
    if terminal {
        eprint!("compiling QuickJS…");
    }
    let module = Module::new(&engine, wasm);
    if terminal {
        eprint!("\r{:20}\r", "");
    }
    module
}

impl Interpreter {
    pub(crate) async fn start(host: Arc<Host>) -> Result<Self> {
        let guest = Guest::builder(&module()?)
            .imports(Emscripten::default())
            .shared_imports(host)
            // `malloc` and `free`.
            .place(Place::Functions { malloc: "w".into(), free: "N".into() })
            // QuickJS compares its stack pointer with a fixed limit, which is wrong in a region.
            .stack_policy(StackPolicy::Copied)
            // A deep JavaScript stack unwinds at the first try.
            .window_size(limits::WINDOW)
            // `__wasm_call_ctors`.
            .initialize(["v"])
            .instantiate()
            .await?;
        let quickjs = guest.exports()?;
        let rejections = Rejections::default();
        let tracker = guest.with(|cx| rejections.track(cx)).await??;
        Ok(Self { guest, quickjs, rejections, tracker })
    }

    /// A place for a script to run in, with a runtime of its own.
    pub(crate) async fn script(&self) -> Result<Script> {
        let script = Script::new(&self.guest, &self.quickjs, &self.rejections).await?;
        let runtime = script.runtime();
        self.guest.with(|cx| rejections::set(cx, runtime, self.tracker)).await??;
        Ok(script)
    }
}
