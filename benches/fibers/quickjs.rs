//! What being instrumented costs QuickJS: the same script in both builds of one package.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

use asyncify_benches::root;
use wasmtime::{Engine, ExternType, Instance, Linker, Memory, Module, Store, TypedFunc};

use crate::pair::Pairs;

/// Calls and arithmetic, as an interpreter has them.
const SETUP: &str = "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }";
const SCRIPT: &str = "fib(12)";
const ANSWER: f64 = 144.0;

/// A build, and what its exports are called: the release builds are minified, and the JavaScript
/// beside each module tells.
struct Build {
    package: &'static str,
    constructors: &'static str,
    malloc: &'static str,
    new_runtime: &'static str,
    new_context: &'static str,
    eval: &'static str,
    get_float64: &'static str,
    free_value: &'static str,
}

const SYNC: Build = Build {
    package: "quickjs-wasmfile-release-sync",
    constructors: "u",
    malloc: "v",
    new_runtime: "K",
    new_context: "N",
    eval: "pa",
    get_float64: "Z",
    free_value: "P",
};

const ASYNCIFY: Build = Build {
    package: "quickjs-wasmfile-release-asyncify",
    constructors: "v",
    malloc: "w",
    new_runtime: "L",
    new_context: "O",
    eval: "qa",
    get_float64: "_",
    free_value: "Q",
};

pub(crate) fn rows(pairs: &mut Pairs) {
    let [ours, theirs] = [ASYNCIFY, SYNC].map(|build| QuickJs::load(&build));
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        eprintln!("no QuickJS: `npm ci --prefix benches` gets it");
        return;
    };
    let (ours, theirs) = (RefCell::new(ours), RefCell::new(theirs));
    let run = |quickjs: &RefCell<QuickJs>, iters| {
        let start = Instant::now();
        for _ in 0..iters {
            assert!((quickjs.borrow_mut().run() - ANSWER).abs() < f64::EPSILON);
        }
        start.elapsed()
    };
    pairs.measure(
        "QuickJS computing, asyncify build : sync build",
        None,
        |iters| run(&ours, iters),
        |iters| run(&theirs, iters),
    );
}

struct QuickJs {
    store: Store<()>,
    context: u32,
    script: u32,
    file: u32,
    eval: TypedFunc<(u32, u32, u32, u32, u32, u32), u32>,
    get_float64: TypedFunc<(u32, u32), f64>,
    free_value: TypedFunc<(u32, u32), ()>,
}

impl QuickJs {
    /// `None` if the package is not installed.
    fn load(build: &Build) -> Option<Self> {
        let dist: PathBuf = ["benches/node_modules/@jitl", build.package, "dist"].iter().collect();
        let wasm = root().join(dist).join("emscripten-module.wasm");
        if !wasm.exists() {
            return None;
        }
        let engine = Engine::default();
        let module = Module::from_file(&engine, wasm).expect("QuickJS compiles");
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let mut memory = None;
        for import in module.imports() {
            if let ExternType::Memory(ty) = import.ty() {
                let made = *memory.insert(Memory::new(&mut store, ty).expect("a memory"));
                let (from, name) = (import.module(), import.name());
                linker.define(&store, from, name, made).expect("it is imported once");
            }
        }
        // What a script computes asks the host for nothing that matters.
        linker.define_unknown_imports_as_default_values(&mut store, &module).expect("functions");
        let instance = linker.instantiate(&mut store, &module).expect("QuickJS starts");
        call::<(), ()>(&mut store, &instance, build.constructors, ());
        let runtime = call(&mut store, &instance, build.new_runtime, ());
        let context =
            call::<(u32, u32), u32>(&mut store, &instance, build.new_context, (runtime, 0));
        let mut text = |text: &str| {
            let bytes = [text.as_bytes(), b"\0"].concat();
            let len = u32::try_from(bytes.len()).expect("a short text");
            let at: u32 = call(&mut store, &instance, build.malloc, len);
            let memory = memory.expect("QuickJS imports its memory");
            memory.write(&mut store, at as usize, &bytes).expect("it was allocated");
            at
        };
        let (setup, script, file) = (text(SETUP), text(SCRIPT), text("bench.js"));
        let mut this = Self {
            context,
            script,
            file,
            eval: function(&mut store, &instance, build.eval),
            get_float64: function(&mut store, &instance, build.get_float64),
            free_value: function(&mut store, &instance, build.free_value),
            store,
        };
        let value = this.eval(setup, SETUP.len());
        this.free(value);
        Some(this)
    }

    fn run(&mut self) -> f64 {
        let value = self.eval(self.script, SCRIPT.len());
        let answer = self.get_float64.call(&mut self.store, (self.context, value));
        self.free(value);
        answer.expect("a number")
    }

    fn eval(&mut self, code: u32, len: usize) -> u32 {
        let len = u32::try_from(len).expect("a short text");
        let arguments = (self.context, code, len, self.file, 0, 0);
        self.eval.call(&mut self.store, arguments).expect("the script runs")
    }

    fn free(&mut self, value: u32) {
        self.free_value.call(&mut self.store, (self.context, value)).expect("a value");
    }
}

fn function<P, R>(store: &mut Store<()>, instance: &Instance, name: &str) -> TypedFunc<P, R>
where
    P: wasmtime::WasmParams,
    R: wasmtime::WasmResults,
{
    instance.get_typed_func(store, name).expect("the build's JavaScript names it")
}

fn call<P, R>(store: &mut Store<()>, instance: &Instance, name: &str, params: P) -> R
where
    P: wasmtime::WasmParams,
    R: wasmtime::WasmResults,
{
    function::<P, R>(store, instance, name).call(store, params).expect("QuickJS is made")
}
