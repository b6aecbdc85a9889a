//! Guests made of a store and an instance that the user linked.

use std::sync::Arc;

use asyncify_rt::private::Direct;
use asyncify_rt::{AsyncImports, Builder, Error, Guest, ImportInfo, Limits, Module, State};
use wasmtime::{Engine, FuncType, Instance, Linker, Store, StoreLimitsBuilder, ValType};

use crate::common::{
    Desk, RUN, WAIT, assert_error, call, ends, fails, module, park, ran, yielding_wait,
};

fn parts(module: &Module, imports: &AsyncImports<()>) -> (Store<State<()>>, Instance) {
    let engine = module.wasmtime().engine();
    let mut linker = Linker::new(engine);
    imports.add_to_linker(&mut linker).unwrap();
    let mut store = Store::new(engine, State::new(module, ()));
    let instance = linker.instantiate(&mut store, module.wasmtime()).unwrap();
    (store, instance)
}

#[test]
fn a_guest_can_be_made_of_parts() {
    let engine = Engine::default();
    let desk = Desk::new();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    let (store, instance) = parts(&module, &desk.imports(&engine));
    let guest = Guest::from_parts(&module, store, instance).unwrap();
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
}

static WHICH: ImportInfo = ImportInfo::new::<Direct, i32>("env", "which", true, &[], "i32", "");

/// A linker whose `env.which` answers `number` at once.
fn numbered(engine: &Engine, number: i32) -> Linker<State<()>> {
    let mut imports = AsyncImports::new();
    imports.suspending::<(), Direct, i32, i32, _, _>(
        &WHICH,
        &Arc::new(number),
        |host, ()| async move {
            let number = *host;
            (host, number, ())
        },
    );
    let mut linker = Linker::new(engine);
    imports.add_to_linker(&mut linker).unwrap();
    linker
}

#[test]
fn instances_in_one_store_keep_their_own_hosts() {
    const WHICH: &str = r#"(import "env" "which" (func $which (result i32)))"#;
    let engine = Engine::default();
    let other = format!(r#"(module {WHICH} (func (export "other") (result i32) (call $which)))"#);
    let other = wasmtime::Module::new(&engine, wat::parse_str(other).unwrap()).unwrap();
    let fields = format!(
        r#"{WHICH} (import "other" "other" (func $other (result i32))) (memory 1)
        (func (export "both") (param i32) (result i32)
          (drop (global.get $state)) (i32.add (i32.mul (call $which) (i32.const 10)) (call $other)))"#
    );
    let module = module(&engine, &fields);
    let mut store = Store::new(&engine, State::new(&module, ()));
    let other = numbered(&engine, 1).instantiate(&mut store, &other).unwrap();
    let mut linker = numbered(&engine, 2);
    linker.instance(&mut store, "other", other).unwrap();
    let instance = linker.instantiate(&mut store, module.wasmtime()).unwrap();
    let guest = Guest::from_parts(&module, store, instance).unwrap();
    for _ in 0..2 {
        assert_eq!(ends(&mut call(&guest, "both", 0)), (21,));
    }
}

#[test]
fn parts_of_another_module_are_refused() {
    let engine = Engine::default();
    let fields = format!("{WAIT} (memory 1) {RUN}");
    let (first, second) = (module(&engine, &fields), module(&engine, &fields));
    let (store, instance) = parts(&first, &yielding_wait(&engine, 1));
    assert_error!(
        Guest::from_parts(&second, store, instance).unwrap_err(),
        Error::Config(_),
        "the instance is one of another module; instantiate what `Module::wasmtime` gives"
    );
}

#[test]
fn parts_that_are_not_instrumented_are_told_when_they_would_wait() {
    let engine = Engine::default();
    let desk = Desk::new();
    let run = r#"(func (export "run") (param i32) (result i32) (call $wait (local.get 0)))"#;
    let module = Module::new(&engine, format!("(module {WAIT} {run})")).unwrap();
    let (store, instance) = parts(&module, &desk.imports(&engine));
    let guest = Guest::from_parts(&module, store, instance).unwrap();
    desk.answer(5);
    assert_eq!(ends(&mut call(&guest, "run", 5)), (16,));
    assert_error!(
        fails(&mut call(&guest, "run", 6)),
        Error::NotInstrumented { suspending, .. } if *suspending == ["env.wait"],
        "the module is not instrumented, and `env.wait` suspends; run\n    wasm-opt guest.wasm --asyncify -O2 --pass-arg=asyncify-imports@env.wait -o guest.async.wasm\nif that refuses an instruction, the guest was stripped of the list of its features: add --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int"
    );
}

/// Parts of a guest with one window of 128 bytes, and at most one parked call.
#[test]
fn parts_take_settings() {
    let desk = Desk::new();
    let engine = {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        Engine::new(&config).unwrap()
    };
    let fields = r#"(func (export "forever") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))"#;
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {fields}"));
    let (store, instance) = parts(&module, &desk.imports(&engine));
    let guest = Guest::builder(&module)
        .window_size(128)
        .limits(Limits::default().parked_calls(1))
        .store_limits(StoreLimitsBuilder::new().memory_size(2 << 16).build())
        .epoch_deadline(2)
        .trap_keeps_guest()
        .from_parts(store, instance)
        .unwrap();
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    assert_eq!(guest.try_stats().unwrap().window_bytes, 128);
    assert!(matches!(fails(&mut call(&guest, "run", 6)), Error::Limit { limit: 1, .. }));
    assert_eq!(guest.try_with(|cx| cx.grow_memory(1)).unwrap(), Some(1), "the window took none");
    assert_eq!(guest.try_with(|cx| cx.grow_memory(1)).unwrap(), None, "two pages and no more");
    let ticker = asyncify_rt::Ticker::start(&engine, std::time::Duration::from_millis(1)).unwrap();
    assert!(matches!(fails(&mut call(&guest, "forever", 0)), Error::Deadline { ticks: 2, .. }));
    drop(ticker);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),), "a trap keeps the guest");
}

#[test]
fn settings_that_come_too_late_for_parts_are_told() {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    let imports = yielding_wait(&engine, 1);
    let refused = |builder: Builder<()>| {
        let (store, instance) = parts(&module, &imports);
        builder.from_parts(store, instance).unwrap_err()
    };
    let new = || Guest::builder(&module);
    for (builder, name) in [
        (new().async_imports(yielding_wait(&engine, 1)), "imports"),
        (new().link(|_| Ok::<(), Error>(())), "link"),
        (new().link_with_store(|_, _| Ok(())), "link_with_store"),
        (new().trap_unknown_imports(), "trap_unknown_imports"),
    ] {
        assert_error!(
            refused(builder),
            Error::Config(_),
            format!(
                "`Builder::{name}` comes too late for an instance that is linked already; use its own linker"
            )
        );
    }
    assert_error!(
        refused(new().initialize(["run"])),
        Error::Config(_),
        "`Builder::initialize` comes too late for an instance that is linked already; call its initializer yourself"
    );
    let error = refused(new().epoch_deadline(1));
    assert!(error.to_string().starts_with("the engine does not interrupt by epochs"), "{error}");
}

/// As in a guest that is linked by its builder.
#[test]
fn the_start_function_of_parts_finds_the_memory() {
    let engine = Engine::default();
    let fields = r#"(import "env" "line" (func $line (param i32 i32))) (memory 1)
        (data (i32.const 8) "begun") (start $begin)
        (func $begin (call $line (i32.const 8) (i32.const 5)))"#;
    let module = module(&engine, fields);
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut imports = AsyncImports::new();
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], []);
    let lines = std::sync::Arc::clone(&seen);
    imports.define_plain("env", "line", ty, move |cx, params| {
        let [at, len] = [0, 1].map(|index| params[index].unwrap_i32().cast_unsigned());
        lines.lock().unwrap().push(cx.read(at, len)?.to_vec());
        Ok(vec![])
    });
    parts(&module, &imports);
    assert_eq!(*seen.lock().unwrap(), [b"begun"]);
}
