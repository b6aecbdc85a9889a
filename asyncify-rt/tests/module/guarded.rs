//! Modules whose code is kept within its shadow stack give the same answers as they were: both run
//! by the engine alone, the one beside the other, and what they leave in memory is compared.

use std::path::Path;

use asyncify_rt::Prepared;
use wasmtime::{
    Engine, ExternType, Func, FuncType, Instance, Module, Store, Val, ValType, WasmBacktrace,
};

/// A guest without the runtime, whose imports answer at once. Holds what they were asked.
struct Plain {
    store: Store<Vec<String>>,
    instance: Instance,
}

/// So many questions are answered in a call; the next one ends it.
const ANSWERS: usize = 100;

impl Plain {
    fn new(engine: &Engine, wasm: &[u8]) -> Self {
        let module = Module::new(engine, wasm).unwrap();
        let mut store = Store::new(engine, Vec::new());
        let mut imports = Vec::new();
        for import in module.imports() {
            let name = import.name().to_owned();
            let ExternType::Func(ty) = import.ty() else { panic!("{name} is no function") };
            let given: Vec<_> = ty.results().collect();
            let func = Func::new(&mut store, ty, move |mut caller, params, results| {
                let asked = caller.data_mut();
                asked.push(format!("{name}{params:?}"));
                if asked.len() > ANSWERS {
                    return Err(wasmtime::Error::msg("enough"));
                }
                // Small, so that what takes it for a length or a count can go on.
                let answer = i32::try_from(asked.len() % 5).unwrap();
                for (result, ty) in results.iter_mut().zip(&given) {
                    *result = value(ty, answer);
                }
                Ok(())
            });
            imports.push(func.into());
        }
        let instance = Instance::new(&mut store, &module, &imports).unwrap();
        Self { store, instance }
    }

    /// The functions to call: all but the parts of Asyncify.
    fn functions(&mut self) -> Vec<(String, FuncType)> {
        let exports = self.instance.exports(&mut self.store);
        let mut found: Vec<_> = exports
            .filter_map(|export| Some((export.name().to_owned(), export.into_func()?)))
            .filter(|(name, _)| !name.starts_with("asyncify_"))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.into_iter().map(|(name, func)| (name, func.ty(&self.store))).collect()
    }

    /// What comes of a call: what the imports were asked, and the results, or the trap with the
    /// names of those that were called.
    fn call(&mut self, name: &str, ty: &FuncType, seed: i32) -> (Vec<String>, String) {
        self.store.data_mut().clear();
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let params: Vec<_> =
            (0..).zip(ty.params()).map(|(n, ty)| value(&ty, seed + 3 * n)).collect();
        let mut results: Vec<_> = ty.results().map(|ty| value(&ty, 0)).collect();
        let outcome = match func.call(&mut self.store, &params, &mut results) {
            Ok(()) => format!("{results:?}"),
            Err(error) => {
                let frames = error.downcast_ref::<WasmBacktrace>().map(|trace| {
                    trace.frames().iter().map(wasmtime::FrameInfo::func_index).collect::<Vec<_>>()
                });
                format!("{:?} {frames:?}", error.downcast_ref::<wasmtime::Trap>())
            }
        };
        (self.store.data().clone(), outcome)
    }

    fn memory(&mut self) -> &[u8] {
        self.instance.get_memory(&mut self.store, "memory").unwrap().data(&self.store)
    }

    fn global(&mut self, name: &str) -> Option<Val> {
        Some(self.instance.get_global(&mut self.store, name)?.get(&mut self.store))
    }
}

#[allow(clippy::cast_precision_loss, reason = "what it is given is small")]
fn value(ty: &ValType, from: i32) -> Val {
    match ty {
        ValType::I32 => Val::I32(from),
        ValType::I64 => Val::I64(from.into()),
        ValType::F32 => Val::F32((from as f32).to_bits()),
        ValType::F64 => Val::F64(f64::from(from).to_bits()),
        other => panic!("{other} is not among the parameters of these guests"),
    }
}

#[test]
fn what_does_not_overflow_comes_to_the_same_with_and_without_the_guard() {
    let engine = Engine::default();
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests");
    for name in ["stack.wasm", "stack-libc.wasm", "quickstart.wasm", "marshal.wasm", "chat.wasm"] {
        let wasm = std::fs::read(guests.join(name)).unwrap();
        let prepared = Prepared::new(&wasm).unwrap();
        let findings = prepared.findings();
        let guard = findings.stack_guard().unwrap_or_else(|| panic!("{name} is not guarded"));
        let bottom =
            findings.stack_bounds().unwrap_or_else(|| panic!("{name} has no bounds")).start;
        let mut guarded = Plain::new(&engine, prepared.wasm());
        let limit = guarded.instance.get_global(&mut guarded.store, guard.limit()).unwrap();
        limit.set(&mut guarded.store, Val::I32(i32::try_from(bottom).unwrap() + 128)).unwrap();
        let mut plain = Plain::new(&engine, &wasm);
        let functions = plain.functions();
        assert!(!functions.is_empty(), "{name}");
        let mut answered = 0;
        for seed in [0, 1, 2, 7, 40, 100] {
            for (function, ty) in &functions {
                let expected = plain.call(function, ty, seed);
                assert_eq!(
                    guarded.call(function, ty, seed),
                    expected,
                    "{name}: {function}, {seed}"
                );
                assert!(plain.memory() == guarded.memory(), "{name}: {function}, {seed}");
                answered += usize::from(expected.1.starts_with('['));
            }
        }
        let hit = guarded.global(guard.hit()).unwrap().unwrap_i32();
        assert_eq!(hit, -1, "{name}: something overflowed");
        assert!(answered >= functions.len(), "{name}: {answered} of {} returned", functions.len());
    }
}
