//! What an error says of how a call ended: the reason, once, and where in the guest it was.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, LazyLock};

use asyncify_rt::private::Direct;
use asyncify_rt::{AsyncImports, BoxError, Error, Guest, ImportInfo, Module, Trap};
use wasmtime::{Engine, FuncType};

use crate::common::{assert_error, block_on, fails, module};

/// The message and its causes as `{:#}` of `anyhow` prints them.
fn chain(error: &Error) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

fn guest(wat: &str, imports: AsyncImports<()>) -> Guest {
    let module = Module::new(&ENGINE, wat).unwrap();
    block_on(Guest::builder(&module).async_imports(imports).instantiate()).unwrap()
}

fn ended(guest: &Guest, export: &str) -> Error {
    let run = guest.all_exports().typed::<(), ()>(export).unwrap();
    fails(&mut run.call(()))
}

const DIVIDES: &str = "(i32.const 1) (i32.const 0) i32.div_u drop";

#[test]
fn a_trap_tells_its_reason_and_the_functions_by_name() {
    let wat = format!(
        r#"(module (func $quot {DIVIDES}) (func $"odd`name\0a" call $quot) (func $main call $"odd`name\0a")
        (func $run (export "divide") call $main))"#
    );
    let error = ended(&guest(&wat, AsyncImports::new()), "divide");
    assert!(
        matches!(&error, Error::Trap { frames, .. } if *frames == ["quot", "odd`name\n", "main", "run"])
    );
    let text =
        "`divide` trapped: integer divide by zero, in `quot` < `odd\\`name\\n` < `main` < `run`";
    assert_eq!(error.to_string(), text);
    assert_eq!(chain(&error), text, "nothing is said twice");
    assert_eq!(format!("{error:?}"), text);
    assert_eq!(
        error.downcast_ref::<wasmtime::Trap>(),
        Some(&wasmtime::Trap::IntegerDivisionByZero)
    );
}

#[test]
fn a_trap_in_a_module_without_names_says_how_to_keep_them() {
    let wat = format!(r#"(module (func {DIVIDES}) (func (export "divide") call 0))"#);
    assert_error!(
        ended(&guest(&wat, AsyncImports::new()), "divide"),
        Error::Trap { .. },
        "`divide` trapped: integer divide by zero, in `function[0]` < `function[1]` (to have functions named, link with `-g` or `--profiling-funcs`, and give `-g` to `wasm-opt`)"
    );
}

#[test]
fn a_stack_overflow_tells_who_recursed() {
    let wat = r#"(module (func $deeper call $deeper) (func (export "run") call $deeper))"#;
    let error = ended(&guest(wat, AsyncImports::new()), "run");
    assert!(error.to_string().starts_with("`run` overflowed the wasm stack, in `deeper`; raise"));
    assert_eq!(chain(&error), error.to_string());
}

#[test]
fn a_start_function_that_traps_tells_the_reason() {
    let module = Module::new(&ENGINE, "(module (func $go unreachable) (start $go))");
    let error = block_on(Guest::builder(&module.unwrap()).instantiate()).unwrap_err();
    let text = "the module could not be instantiated: wasm `unreachable` instruction executed";
    assert_error!(error, Error::Instantiate { .. }, text);
}

#[derive(Debug)]
struct NoPower(std::io::Error);

impl fmt::Display for NoPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk stopped")
    }
}

impl std::error::Error for NoPower {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn no_power() -> NoPower {
    NoPower(std::io::Error::other("no power"))
}

const SYNC: &str =
    r#"(module (import "env" "sync" (func $sync)) (func (export "run") call $sync))"#;

fn traps_with(trap: impl Fn() -> Trap + Send + Sync + 'static) -> Guest {
    let mut imports = AsyncImports::new();
    let ty = FuncType::new(&ENGINE, [], []);
    imports.define_plain("env", "sync", ty, move |_, _| Err(trap()));
    guest(SYNC, imports)
}

#[test]
fn whatever_a_trap_is_made_of_can_be_downcast_and_is_told_once() {
    let traps: [fn() -> Trap; 4] = [
        || Trap::from(no_power()),
        || Trap::from(BoxError::from(no_power())),
        || Trap::from(wasmtime::Error::new(no_power())),
        || Trap::poisoning(no_power()),
    ];
    for trap in traps {
        let error = ended(&traps_with(trap), "run");
        assert!(error.downcast_ref::<NoPower>().is_some(), "{error:?}");
        assert!(error.downcast_ref::<std::io::Error>().is_some(), "{error:?}");
        assert_eq!(error.to_string(), "`run` was ended by the host: the disk stopped");
        assert_eq!(chain(&error), "`run` was ended by the host: the disk stopped: no power");
        assert_eq!(
            format!("{error:?}"),
            "`run` was ended by the host: the disk stopped\n  caused by: no power"
        );
        assert!(trap().into_inner().to_string().starts_with("the disk stopped"));
    }
}

#[test]
fn an_error_of_a_function_that_was_linked_by_hand_is_told_without_the_engines_backtrace() {
    let module = Module::new(&ENGINE, SYNC).unwrap();
    let fail = || -> wasmtime::Result<()> { Err(wasmtime::Error::new(no_power())) };
    let builder =
        Guest::builder(&module).link(|linker| linker.func_wrap("env", "sync", fail).map(drop));
    let error = ended(&block_on(builder.instantiate()).unwrap(), "run");
    assert!(error.downcast_ref::<NoPower>().is_some());
    assert_eq!(chain(&error), "`run` was ended by the host: the disk stopped: no power");
}

#[test]
fn a_trap_poisons_where_the_host_says_so() {
    for (poisons, trap) in
        [(false, (|| Trap::new("no")) as fn() -> Trap), (true, || Trap::poisoning("no"))]
    {
        let guest = traps_with(trap);
        let error = ended(&guest, "run");
        assert!(matches!(error, Error::Host { poisons: told, .. } if told == poisons));
        assert_eq!(block_on(guest.is_poisoned()).unwrap(), poisons);
        let again = ended(&guest, "run").to_string();
        let cause = "`run` was ended by the host: no";
        assert_eq!(
            again.starts_with(&format!("the guest is poisoned: {cause}; ")),
            poisons,
            "{again}"
        );
    }
}

static INVOKE: ImportInfo = ImportInfo::new::<Direct, Result<(), Trap>>(
    "env",
    "invoke",
    false,
    &[],
    "Result<(), Trap>",
    "",
);

#[test]
fn the_host_ends_the_export_that_was_called_also_through_a_trampoline() {
    let fields = r#"(import "env" "invoke" (func $invoke)) (import "env" "sync" (func $sync))
        (memory 1) (table (export "table") 1 funcref) (elem (i32.const 0) $inner)
        (func $inner call $sync) (func (export "outer") call $invoke)"#;
    for poisons in [false, true] {
        let mut imports = AsyncImports::new();
        imports.define_plain("env", "sync", FuncType::new(&ENGINE, [], []), move |_, _| {
            Err(if poisons { Trap::poisoning("no") } else { Trap::new("no") })
        });
        imports.trampoline::<(), Direct, Result<(), Trap>, (), _>(
            &INVOKE,
            &Arc::new(()),
            |(), cx, ()| (cx.call_table::<(), ()>("table", 0, ()).map_err(Trap::from), ()),
        );
        let module = module(&ENGINE, fields);
        let builder = Guest::builder(&module).async_imports(imports).trust_instrumentation();
        let guest = block_on(builder.instantiate()).unwrap();
        assert_error!(
            ended(&guest, "outer"),
            Error::Host { function, .. } if function == "outer",
            "`outer` was ended by the host: no"
        );
        assert_eq!(block_on(guest.is_poisoned()).unwrap(), poisons);
    }
}

#[test]
fn a_trap_in_the_guests_allocator_names_the_function() {
    let wat = r#"(module (memory (export "memory") 1)
        (func $carve unreachable)
        (func $malloc (export "malloc") (param i32) (result i32) call $carve i32.const 0)
        (func (export "free") (param i32)))"#;
    let guest = guest(wat, AsyncImports::new());
    let error = guest.try_with(|cx| cx.place(&[1, 2, 3]).map(drop)).unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("executed, in `carve` < `malloc`"), "{text}");
}

#[test]
fn a_module_without_the_pass_and_with_a_misspelt_import_is_told_both() {
    let imports = || {
        let mut imports = AsyncImports::new();
        for name in ["fetch", "sleep"] {
            imports.define("env", name, FuncType::new(&ENGINE, [], []), |_, _| {
                Ok(asyncify_rt::ImportResult::Sync(vec![]))
            });
        }
        imports
    };
    let command = "run\n    wasm-opt guest.wasm --asyncify -O2 --pass-arg=asyncify-imports@env.fetch,env.sleep -o guest.async.wasm\n";
    let wrong = "\nand 1 of the module's imports cannot be linked:\n    `env.fetsh`: the module wants () -> (), the host has none, but has `env.fetch`\n";
    for (asked, suspend) in [
        (r#"(import "env" "fetsh" (func))"#, "`env.fetch` suspends; "),
        (
            r#"(import "env" "fetsh" (func)) (import "env" "sleep" (func))"#,
            "`env.sleep` suspends; ",
        ),
    ] {
        let module = Module::new(&ENGINE, format!("(module {asked} (memory 1))")).unwrap();
        let builder = Guest::builder(&module).async_imports(imports());
        let error = block_on(builder.instantiate()).unwrap_err();
        assert!(
            matches!(&error, Error::NotInstrumented { mismatches, .. } if mismatches[0].import == "env.fetsh")
        );
        let text = error.to_string();
        for part in [suspend, command, wrong] {
            assert!(text.contains(part), "{text}");
        }
    }
}
