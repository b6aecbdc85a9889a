//! One QuickJS in one guest: scripts go in, what they end with comes out.

use std::sync::Arc;

use asyncify::wasmtime::{Config, Engine};
use asyncify::{Error, Guest, Module, Place, Result, StackPolicy};

use crate::emscripten::Emscripten;
use crate::host::Host;
use crate::js::{self, Context, Js, Promise, Runtime, Value};
use crate::values::{Arguments, CText, Ignored, Request, Source};

const MODULE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/quickjs/node_modules/@jitl/quickjs-wasmfile-release-asyncify/dist/emscripten-module.wasm"
);

/// QuickJS's frames are large. The threads that run it need this much stack, and some for Rust.
pub(crate) const WASM_STACK: usize = 2 << 20;

/// `JS_EVAL_TYPE_MODULE`.
const AS_MODULE: u32 = 1;

/// The functions of QuickJS that run a script's code, under their minified names.
#[asyncify::exports]
trait QuickJs {
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

pub(crate) struct Interpreter {
    guest: Guest,
    quickjs: QuickJsExports,
    runtime: Runtime,
    context: Context,
    undefined: Value,
    /// The prelude's function that makes text of any value.
    inspect: Value,
}

/// How a script ended.
pub(crate) enum Outcome {
    /// With this value, as text.
    Value(String),
    /// With this exception, as text with its stack.
    Exception(String),
    /// It waits for a promise that nothing settles any more.
    Unsettled,
}

fn engine() -> asyncify::wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.max_wasm_stack(WASM_STACK);
    // A compiler that was built without optimization takes a while for a megabyte of wasm.
    #[cfg(feature = "cache")]
    config.cache(Some(asyncify::wasmtime::Cache::from_file(None)?));
    Engine::new(&config)
}

impl Interpreter {
    pub(crate) async fn start(host: Arc<Host>) -> Result<Self> {
        let engine = engine().map_err(|error| Error::Config(error.to_string()))?;
        let guest = Guest::builder(&Module::from_file(&engine, MODULE)?)
            .imports(Emscripten::default())
            .shared_imports(host)
            // `malloc` and `free`.
            .place(Place::Functions { malloc: "w".into(), free: "N".into() })
            // QuickJS compares its stack pointer with a fixed limit, which is wrong in a region.
            .stack_policy(StackPolicy::Copied)
            // A deep JavaScript stack unwinds at the first try.
            .window_size(1 << 20)
            // `__wasm_call_ctors`.
            .initialize(["v"])
            .instantiate()
            .await?;
        let quickjs: QuickJsExports = guest.exports()?;
        let (runtime, context) = guest.with(js::new_context).await??;
        let undefined = guest.with(|cx| Js::new(cx, context).undefined()).await??;
        // Until the prelude has run.
        let inspect = undefined;
        let mut this = Self { guest, quickjs, runtime, context, undefined, inspect };
        this.inspect = this.prelude().await?;
        Ok(this)
    }

    /// Runs the prelude with the host's functions.
    async fn prelude(&self) -> Result<Value> {
        let source = Source(include_str!("prelude.js").to_owned());
        let file = CText("<prelude>".to_owned());
        let prelude = self.quickjs.eval(self.context, source, file, false, 0).await?;
        let host = self
            .with(|js| {
                let host = js.object()?;
                for (id, name) in (1..).zip(Request::NAMES) {
                    let function = js.function(name, id)?;
                    js.define(host, name, function)?;
                    js.free(function)?;
                }
                Ok(host)
            })
            .await?;
        let arguments = Arguments(vec![host]);
        let call = self.quickjs.call(self.context, prelude, self.undefined, arguments);
        let inspect = call.await?;
        self.with(|js| {
            js.free(host)?;
            js.free(prelude)
        })
        .await?;
        Ok(inspect)
    }

    /// Runs a script, and the jobs that it leaves.
    pub(crate) async fn run(&self, source: String, file: &str, module: bool) -> Result<Outcome> {
        let flags = if module { AS_MODULE } else { 0 };
        let (source, file) = (Source(source), CText(file.to_owned()));
        let value = self.quickjs.eval(self.context, source, file, !module, flags).await?;
        if let Some(error) = self.with(|js| js.thrown(value)).await? {
            return Ok(Outcome::Exception(self.text(error).await?));
        }
        if let Some(error) = self.run_jobs().await? {
            return Ok(Outcome::Exception(self.text(error).await?));
        }
        // What `main()` of an `async function main` gives, or a module that awaits.
        let promise = self.with(|js| js.promise(value)).await?;
        match promise {
            Promise::Pending => Ok(Outcome::Unsettled),
            Promise::Rejected => {
                let error = self.with(|js| js.settled(value)).await?;
                Ok(Outcome::Exception(self.text(error).await?))
            }
            Promise::None | Promise::Fulfilled => Ok(Outcome::Value(self.text(value).await?)),
        }
    }

    /// Runs jobs until none are left: what one of them threw.
    async fn run_jobs(&self) -> Result<Option<Value>> {
        let all = -1;
        let ended = self.quickjs.execute_jobs(self.runtime, all, Ignored).await?;
        self.with(|js| match js.type_of(ended)?.as_str() {
            "number" => js.free(ended).map(|()| None),
            _ => Ok(Some(ended)),
        })
        .await
    }

    /// A value as text, and the value freed. It may run the script's own getters.
    async fn text(&self, value: Value) -> Result<String> {
        let arguments = Arguments(vec![value]);
        let call = self.quickjs.call(self.context, self.inspect, self.undefined, arguments);
        let text = call.await?;
        self.with(|js| {
            let shown = match js.thrown(text)? {
                None => js.text(text)?,
                Some(error) => {
                    js.free(error)?;
                    "a value that cannot be shown".to_owned()
                }
            };
            js.free(text)?;
            js.free(value)?;
            Ok(shown)
        })
        .await
    }

    async fn with<R>(&self, body: impl FnOnce(&mut Js<'_, '_, ()>) -> Result<R>) -> Result<R> {
        self.guest.with(|cx| body(&mut Js::new(cx, self.context))).await?
    }
}
