//! Random programs, driven with waits at random, against the same programs whose imports answer at
//! once: results, the globals, and what the import was asked, in that order.

mod program;

use asyncify_pass::{Pass, Yields};
use program::{Rng, program};
use wasmtime::{Caller, Engine, Extern, Instance, Linker, Module, Store, Val};

/// What an import that was asked `number` as the `count`th answers.
fn answer(number: i32, count: usize) -> i32 {
    number.wrapping_mul(3) ^ i32::try_from(count).unwrap()
}

#[derive(Default)]
struct Asked {
    numbers: Vec<i32>,
    waits: bool,
    rng: Option<Rng>,
}

struct World {
    store: Store<Asked>,
    instance: Instance,
}

impl World {
    fn new(engine: &Engine, wasm: &[u8], waits: bool, seed: u64) -> Self {
        let module = Module::new(engine, wasm).unwrap();
        let asked = Asked { numbers: Vec::new(), waits, rng: Some(Rng(seed)) };
        let mut store = Store::new(engine, asked);
        let mut linker = Linker::new(engine);
        let wait = |mut caller: Caller<'_, Asked>, number: i32| {
            let asked = caller.data_mut();
            asked.numbers.push(number);
            let count = asked.numbers.len();
            let pending = asked.waits && asked.rng.as_mut().unwrap().below(3) > 0;
            if !pending {
                return answer(number, count);
            }
            let frames = caller.get_export("asyncify:frames").and_then(Extern::into_memory);
            frames.unwrap().write(&mut caller, 0, &1_u32.to_le_bytes()).unwrap();
            0x0bad_0bad
        };
        linker.func_wrap("env", "wait", wait).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Self { store, instance }
    }

    fn call(&mut self, name: &str, args: &[Val]) -> Result<Vec<Val>, String> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let trap = |error: wasmtime::Error| format!("{:?}", error.downcast_ref::<wasmtime::Trap>());
        func.call(&mut self.store, args, &mut results).map_err(trap)?;
        Ok(results)
    }

    fn global(&mut self, name: &str) -> Val {
        let global = self.instance.get_global(&mut self.store, name).unwrap();
        global.get(&mut self.store)
    }

    /// Drives a call to its end: with bytes that were taken out and put back, elsewhere overwritten.
    fn drive(&mut self, call: &str, resume: &str, args: &[Val]) -> Result<Vec<Val>, String> {
        let mut results = self.call(call, args)?;
        loop {
            let end = results.pop().unwrap().unwrap_i32().cast_unsigned() as usize;
            if end == 0 {
                return Ok(results);
            }
            let begin = self.global("asyncify:pos").unwrap_i32().cast_unsigned() as usize;
            let frames = self.instance.get_memory(&mut self.store, "asyncify:frames").unwrap();
            let memory = frames.data_mut(&mut self.store);
            let bytes = memory[begin..end].to_vec();
            memory[begin..].fill(0xee);
            memory[begin..end].copy_from_slice(&bytes);
            let asked = &self.store.data().numbers;
            let answer = answer(asked.last().copied().unwrap_or_default(), asked.len());
            let yields = self.instance.get_global(&mut self.store, "asyncify:yield").unwrap();
            let rng = self.store.data_mut().rng.as_mut().unwrap();
            let next = i32::try_from(rng.below(20)).unwrap();
            yields.set(&mut self.store, Val::I32(next)).unwrap();
            let end = Val::I32(u32::try_from(end).unwrap().cast_signed());
            results = self.call(resume, &[end, Val::I64(i64::from(answer))])?;
        }
    }
}

fn is_same(one: &Val, other: &Val) -> bool {
    match (one, other) {
        (Val::I32(one), Val::I32(other)) => one == other,
        (Val::I64(one), Val::I64(other)) => one == other,
        (Val::F32(one), Val::F32(other)) => one == other,
        (Val::F64(one), Val::F64(other)) => one == other,
        _ => false,
    }
}

/// Programs in which something was different: none, or the faults are told by seed.
fn differing(seeds: std::ops::Range<u64>, yields: Yields) -> Vec<u64> {
    let engine = Engine::default();
    let mut differing = Vec::new();
    for seed in seeds {
        let wasm = program(seed);
        let instrumented = Pass::new().suspending("env", "wait").yields(yields).run(&wasm).unwrap();
        let mut plain = World::new(&engine, &wasm, false, seed);
        let mut driven = World::new(&engine, instrumented.wasm(), true, seed);
        for entry in instrumented.exports() {
            let args = [
                Val::I32(i32::try_from(seed).unwrap()),
                Val::I64(7 - i64::try_from(seed).unwrap()),
            ];
            if yields != Yields::None {
                let flag = driven.instance.get_global(&mut driven.store, "asyncify:yield").unwrap();
                flag.set(&mut driven.store, Val::I32(1)).unwrap();
            }
            let expected = plain.call(entry.export(), &args);
            let found = driven.drive(entry.call(), entry.resume(), &args);
            let same = match (&expected, &found) {
                (Ok(expected), Ok(found)) => {
                    expected.len() == found.len()
                        && expected.iter().zip(found).all(|(one, other)| is_same(one, other))
                }
                (Err(expected), Err(found)) => expected == found,
                _ => false,
            };
            let asked = plain.store.data().numbers == driven.store.data().numbers;
            let globals = is_same(&plain.global("count"), &driven.global("count"));
            if !(same && asked && globals) {
                differing.push(seed);
                break;
            }
            if found.is_err() {
                break;
            }
        }
    }
    differing
}

#[test]
fn waits_change_nothing() {
    assert_eq!(differing(0..60, Yields::None), []);
}

#[test]
fn waits_before_any_operator_change_nothing() {
    assert_eq!(differing(1000..1020, Yields::Everywhere), []);
}

#[test]
fn waits_at_the_heads_of_functions_and_loops_change_nothing() {
    assert_eq!(differing(2000..2040, Yields::Heads), []);
}
