//! Instrumented modules, driven by a host that copies every call's bytes out and in again.

use asyncify_pass::{Entry, Instrumented, Pass, Yields};
use wasmtime::{Engine, Extern, Instance, Linker, Module, Store, Val, ValType};

/// What the guest asked for, and how often it was suspended.
#[derive(Default)]
struct Asked {
    args: Vec<i32>,
    suspensions: u32,
}

struct Guest {
    store: Store<Asked>,
    instance: Instance,
    instrumented: Instrumented,
}

/// A parked call: its bytes.
struct Parked {
    bytes: Vec<u8>,
}

enum Outcome {
    Ended(Vec<Val>),
    Parked(Parked),
}

impl Guest {
    fn new(text: &str, yields: Yields) -> Self {
        let wasm = wat::parse_str(text).unwrap();
        let pass = Pass::new().suspending("env", "wait").yields(yields);
        let instrumented = pass.run(&wasm).unwrap();
        let engine = Engine::default();
        let module = Module::new(&engine, instrumented.wasm()).unwrap();
        let mut store = Store::new(&engine, Asked::default());
        let mut linker = Linker::new(&engine);
        let wait = |mut caller: wasmtime::Caller<'_, Asked>, number: i32| {
            caller.data_mut().args.push(number);
            let frames = caller.get_export("asyncify:frames").and_then(Extern::into_memory);
            frames.unwrap().write(&mut caller, 0, &1_u32.to_le_bytes()).unwrap();
            0x0dea_d000_i32
        };
        linker.func_wrap("env", "wait", wait).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Self { store, instance, instrumented }
    }

    fn entry(&self, export: &str) -> Entry {
        let entries = self.instrumented.exports();
        entries.iter().find(|entry| entry.export() == export).unwrap().clone()
    }

    fn pos(&mut self) -> u32 {
        let pos = self.instance.get_global(&mut self.store, "asyncify:pos").unwrap();
        pos.get(&mut self.store).unwrap_i32().cast_unsigned()
    }

    fn call(&mut self, function: &str, args: &[Val]) -> Outcome {
        let func = self.instance.get_func(&mut self.store, function).unwrap();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, args, &mut results).unwrap();
        let end = results.pop().unwrap().unwrap_i32().cast_unsigned() as usize;
        if end == 0 {
            return Outcome::Ended(results);
        }
        self.store.data_mut().suspensions += 1;
        let begin = self.pos() as usize;
        let frames = self.instance.get_memory(&mut self.store, "asyncify:frames").unwrap();
        let frames = frames.data_mut(&mut self.store);
        let bytes = frames[begin..end].to_vec();
        frames[begin..].fill(0xee);
        Outcome::Parked(Parked { bytes })
    }

    fn resume(&mut self, export: &str, parked: &Parked, answer: i64) -> Outcome {
        let begin = self.pos() as usize;
        let frames = self.instance.get_memory(&mut self.store, "asyncify:frames").unwrap();
        let end = begin + parked.bytes.len();
        frames.data_mut(&mut self.store)[begin..end].copy_from_slice(&parked.bytes);
        let end = Val::I32(u32::try_from(end).unwrap().cast_signed());
        let resume = self.entry(export).resume().to_owned();
        self.call(&resume, &[end, Val::I64(answer)])
    }

    fn begin(&mut self, export: &str, args: &[Val]) -> Outcome {
        let call = self.entry(export).call().to_owned();
        self.call(&call, args)
    }

    /// Runs a call to its end. The import answers twice what it is passed.
    fn run(&mut self, export: &str, args: &[Val]) -> Vec<Val> {
        let mut outcome = self.begin(export, args);
        loop {
            match outcome {
                Outcome::Ended(results) => return results,
                Outcome::Parked(parked) => {
                    let answer = self.store.data_mut().args.pop().unwrap_or_default() * 2;
                    outcome = self.resume(export, &parked, answer.into());
                }
            }
        }
    }
}

const FIB: &str = r#"(module
  (import "env" "wait" (func $wait (param i32) (result i32)))
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (call $wait (local.get $n)))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1)))
                     (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "sum") (param $n i32) (result i64) (local $s i64)
    (block $out
      (loop $l
        (br_if $out (i32.eqz (local.get $n)))
        (local.set $s (i64.add (local.get $s) (i64.extend_i32_s (call $wait (local.get $n)))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $l)))
    (local.get $s)))"#;

#[test]
fn a_call_goes_on_with_each_answer() {
    let mut guest = Guest::new(FIB, Yields::None);
    assert_eq!(guest.run("fib", &[Val::I32(10)])[0].unwrap_i32(), 110);
    assert_eq!(guest.store.data().suspensions, 89);
    assert_eq!(guest.run("sum", &[Val::I32(100)])[0].unwrap_i64(), 2 * 5050);
}

#[test]
fn any_number_of_calls_is_parked_and_ends_in_any_order() {
    let mut guest = Guest::new(FIB, Yields::None);
    let mut parked: Vec<_> = (0..20)
        .map(|n| match guest.begin("sum", &[Val::I32(n + 1)]) {
            Outcome::Parked(parked) => (n + 1, parked, n + 1, 0_i64),
            Outcome::Ended(_) => panic!("it waits"),
        })
        .collect();
    let mut at = 0;
    while !parked.is_empty() {
        at = (at * 7 + 3) % parked.len();
        let (n, bytes, asked, sum) = parked.swap_remove(at);
        match guest.resume("sum", &bytes, (asked * 3).into()) {
            Outcome::Ended(results) => {
                assert_eq!(results[0].unwrap_i64(), i64::from(n * (n + 1) / 2 * 3));
                assert_eq!(asked, 1);
            }
            Outcome::Parked(next) => parked.push((n, next, asked - 1, sum)),
        }
    }
}

#[test]
fn an_export_that_is_called_by_its_own_name_must_not_wait() {
    let mut guest = Guest::new(FIB, Yields::None);
    let fib = guest.instance.get_func(&mut guest.store, "fib").unwrap();
    assert_eq!(fib.ty(&guest.store).params().map(|ty| ty.is_i32()).collect::<Vec<_>>(), [true]);
    assert!(matches!(fib.ty(&guest.store).results().next(), Some(ValType::I32)));
    let error = fib.call(&mut guest.store, &[Val::I32(3)], &mut [Val::I32(0)]).unwrap_err();
    assert!(error.downcast_ref::<wasmtime::Trap>().is_some());
    assert_eq!(guest.run("fib", &[Val::I32(5)])[0].unwrap_i32(), 10);
}

#[test]
fn a_call_may_yield_before_every_operator() {
    let mut guest = Guest::new(FIB, Yields::Everywhere);
    let mut outcome = {
        let yields = guest.instance.get_global(&mut guest.store, "asyncify:yield").unwrap();
        yields.set(&mut guest.store, Val::I32(1)).unwrap();
        guest.begin("fib", &[Val::I32(8)])
    };
    let result = loop {
        match outcome {
            Outcome::Ended(results) => break results,
            Outcome::Parked(parked) => {
                let answer = guest.store.data_mut().args.pop().map_or(0x5afe, |asked| asked * 2);
                let yields = guest.instance.get_global(&mut guest.store, "asyncify:yield").unwrap();
                yields.set(&mut guest.store, Val::I32(1)).unwrap();
                outcome = guest.resume("fib", &parked, answer.into());
            }
        }
    };
    assert_eq!(result[0].unwrap_i32(), 42);
    assert!(guest.store.data().suspensions > 500);
}

/// A guest that is entered again by a host function that it calls. What the inner call leaves is
/// taken out of the memory before the outer one goes on.
#[test]
fn a_call_within_a_call_is_parked_by_itself() {
    const GUEST: &str = r#"(module
      (import "env" "wait" (func $wait (param i32) (result i32)))
      (import "env" "inner" (func $inner))
      (func (export "outer") (param $n i32) (result i32)
        (i32.add (call $wait (local.get $n))
                 (block (result i32) (call $inner) (call $wait (i32.const 5)))))
      (func (export "double") (param $n i32) (result i32)
        (i32.mul (call $wait (local.get $n)) (i32.const 10))))"#;
    let wasm = wat::parse_str(GUEST).unwrap();
    let instrumented = Pass::new().suspending("env", "wait").run(&wasm).unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, instrumented.wasm()).unwrap();
    let mut store = Store::new(&engine, Vec::<Vec<u8>>::new());
    let mut linker = Linker::new(&engine);
    let frames = |caller: &mut wasmtime::Caller<'_, Vec<Vec<u8>>>| {
        caller.get_export("asyncify:frames").and_then(Extern::into_memory).unwrap()
    };
    let wait = move |mut caller: wasmtime::Caller<'_, Vec<Vec<u8>>>, _: i32| {
        frames(&mut caller).write(&mut caller, 0, &1_u32.to_le_bytes()).unwrap();
        -1_i32
    };
    linker.func_wrap("env", "wait", wait).unwrap();
    let inner = move |mut caller: wasmtime::Caller<'_, Vec<Vec<u8>>>| {
        let double = caller.get_export("asyncify:call:double").and_then(Extern::into_func);
        let mut results = [Val::I32(0), Val::I32(0)];
        double.unwrap().call(&mut caller, &[Val::I32(7)], &mut results).unwrap();
        let end = results[1].unwrap_i32().cast_unsigned() as usize;
        let pos = caller.get_export("asyncify:pos").and_then(Extern::into_global).unwrap();
        let begin = pos.get(&mut caller).unwrap_i32().cast_unsigned() as usize;
        let memory = frames(&mut caller).data_mut(&mut caller);
        let bytes = memory[begin..end].to_vec();
        memory[begin..].fill(0xee);
        caller.data_mut().push(bytes);
    };
    linker.func_wrap("env", "inner", inner).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let mut parked = Vec::new();
    let mut drive = |store: &mut Store<Vec<Vec<u8>>>, name: &str, args: &[Val]| {
        let func = instance.get_func(&mut *store, name).unwrap();
        let mut results = [Val::I32(0), Val::I32(0)];
        func.call(&mut *store, args, &mut results).unwrap();
        let end = results[1].unwrap_i32().cast_unsigned() as usize;
        let pos = instance.get_global(&mut *store, "asyncify:pos").unwrap();
        let begin = pos.get(&mut *store).unwrap_i32().cast_unsigned() as usize;
        let memory = instance.get_memory(&mut *store, "asyncify:frames").unwrap();
        if end > 0 {
            parked = memory.data(&*store)[begin..end].to_vec();
        }
        memory.data_mut(&mut *store)[begin..].fill(0xee);
        (results[0].unwrap_i32(), end > 0, parked.clone(), begin)
    };
    let put = |store: &mut Store<Vec<Vec<u8>>>, begin: usize, bytes: &[u8]| {
        let memory = instance.get_memory(&mut *store, "asyncify:frames").unwrap();
        let end = begin + bytes.len();
        memory.data_mut(&mut *store)[begin..end].copy_from_slice(bytes);
        Val::I32(u32::try_from(end).unwrap().cast_signed())
    };
    let resume = instrumented.exports()[0].resume().to_owned();
    let (_, waits, outer, begin) = drive(&mut store, "asyncify:call:outer", &[Val::I32(1)]);
    assert!(waits);
    let end = put(&mut store, begin, &outer);
    // It goes on, calls the host, which calls `double`, and waits again.
    let (_, waits, outer, begin) = drive(&mut store, &resume, &[end, Val::I64(100)]);
    assert!(waits);
    let inner = store.data_mut().pop().unwrap();
    let end = put(&mut store, begin, &inner);
    let (result, waits, _, begin) = drive(&mut store, &resume, &[end, Val::I64(3)]);
    assert_eq!((result, waits), (30, false));
    let end = put(&mut store, begin, &outer);
    let (result, waits, _, _) = drive(&mut store, &resume, &[end, Val::I64(11)]);
    assert_eq!((result, waits), (111, false));
}

/// Where no more frames can be kept the guest traps, and is as it was when the host has set it back.
#[test]
fn frames_that_find_no_room_trap() {
    const DEEP: &str = r#"(module
      (import "env" "wait" (func $wait (param i32) (result i32)))
      (func $down (export "down") (param $n i32) (result i32)
        (if (result i32) (local.get $n)
          (then (i32.add (call $down (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
          (else (call $wait (i32.const 21))))))"#;
    let wasm = wat::parse_str(DEEP).unwrap();
    let pass = Pass::new().suspending("env", "wait").frame_pages(1);
    let mut guest = Guest::new(DEEP, Yields::None);
    guest.instrumented = pass.run(&wasm).unwrap();
    let engine = guest.store.engine().clone();
    let module = Module::new(&engine, guest.instrumented.wasm()).unwrap();
    let mut linker = Linker::new(&engine);
    let wait = |mut caller: wasmtime::Caller<'_, Asked>, number: i32| {
        caller.data_mut().args.push(number);
        let frames = caller.get_export("asyncify:frames").and_then(Extern::into_memory);
        frames.unwrap().write(&mut caller, 0, &1_u32.to_le_bytes()).unwrap();
        0_i32
    };
    linker.func_wrap("env", "wait", wait).unwrap();
    guest.instance = linker.instantiate(&mut guest.store, &module).unwrap();
    let before = guest.pos();
    let down = guest.instance.get_func(&mut guest.store, "asyncify:call:down").unwrap();
    let mut results = [Val::I32(0), Val::I32(0)];
    let error = down.call(&mut guest.store, &[Val::I32(9_000)], &mut results).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::MemoryOutOfBounds));
    guest.store.data_mut().args.clear();
    for (name, value) in [("pos", before.cast_signed()), ("state", 0)] {
        let global = guest.instance.get_global(&mut guest.store, &format!("asyncify:{name}"));
        global.unwrap().set(&mut guest.store, Val::I32(value)).unwrap();
    }
    let frames = guest.instance.get_memory(&mut guest.store, "asyncify:frames").unwrap();
    frames.data_mut(&mut guest.store)[..4].fill(0);
    assert_eq!(guest.run("down", &[Val::I32(1_000)])[0].unwrap_i32(), 1_042);
}

#[test]
fn what_cannot_be_made_suspendable_is_told_by_name() {
    const WAIT: &str = r#"(import "env" "wait" (func $wait (param i32) (result i32)))"#;
    for (fields, expected) in [
        (
            "(table (export \"t\") 1 funcref) (func (drop (call $wait (i32.const 1))))",
            "a table that is imported or exported",
        ),
        (
            "(table 1 funcref) (elem (i32.const 0) $wait) (func (drop (call $wait (i32.const 1))))",
            "a reference to a suspending import",
        ),
        (
            "(func (export \"asyncify:pos\") (drop (call $wait (i32.const 1))))",
            "it exports `asyncify:pos`",
        ),
        ("(func (drop (call $wait (i64.const 1))))", "it is no valid module"),
    ] {
        let wasm = wat::parse_str(format!("(module {WAIT} {fields})")).unwrap();
        let error = Pass::new().suspending("env", "wait").run(&wasm).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_function_that_may_suspend_has_a_path_to_what_it_waits_for() {
    let wasm = wat::parse_str(
        r#"(module (import "env" "wait" (func $wait (param i32) (result i32)))
          (func $a (drop (call $wait (i32.const 1)))) (func $b (call $a)) (func $c))"#,
    );
    let instrumented = Pass::new().suspending("env", "wait").run(&wasm.unwrap()).unwrap();
    assert_eq!(instrumented.path(2), [2, 1, 0]);
    assert_eq!(instrumented.path(3), []);
}

#[test]
fn an_import_that_the_module_does_not_have_is_told() {
    let wasm = wat::parse_str(FIB).unwrap();
    let pass = Pass::new().suspending("env", "wiat").suspending("env", "wait");
    assert_eq!(pass.run(&wasm).unwrap().not_imported(), ["env.wiat"]);
}
