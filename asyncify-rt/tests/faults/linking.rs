//! What is told before a guest runs: about its instrumentation, its imports, its exports.

use asyncify_rt::private::{Direct, ExportLookup, ParamInfo, Val as ByValue};
use asyncify_rt::{AsyncImports, Error, ExportInfo, Exports, Guest, Module};
use wasmtime::{Engine, FuncType, Val, ValType};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, by_hand, call, ends, fails, guest_with, import,
    module, ran, yielding_wait,
};

fn refused(module: &Module, imports: AsyncImports<()>) -> Error {
    block_on(Guest::builder(module).async_imports(imports).instantiate()).unwrap_err()
}

#[test]
fn a_module_that_is_not_instrumented_is_told_the_exact_command() {
    let engine = Engine::default();
    let desk = Desk::new();
    let mut imports = AsyncImports::new();
    for name in ["wait", "other", "unused"] {
        desk.define(&mut imports, &engine, name);
    }
    let other = r#"(import "env" "other" (func (param i32) (result i32)))"#;
    let two = Module::new(&engine, format!("(module {WAIT} {other} (memory 1))")).unwrap();
    assert_error!(
        refused(&two, imports),
        Error::NotInstrumented { suspending, wasm_opt_args, .. }
            if *suspending == ["env.wait", "env.other"]
            && wasm_opt_args == "--pass-arg=asyncify-imports@env.wait,env.other,env.unused",
        "the module is not instrumented, and `env.wait` and `env.other` suspend; run\n    wasm-opt guest.wasm --asyncify -O2 --pass-arg=asyncify-imports@env.wait,env.other,env.unused -o guest.async.wasm\nif that refuses an instruction, the guest was stripped of the list of its features: add --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int"
    );
    let one = Module::new(&engine, format!("(module {WAIT} (memory 1))")).unwrap();
    assert_error!(
        refused(&one, desk.imports(&engine)),
        Error::NotInstrumented { .. },
        "the module is not instrumented, and `env.wait` suspends; run\n    wasm-opt guest.wasm --asyncify -O2 --pass-arg=asyncify-imports@env.wait -o guest.async.wasm\nif that refuses an instruction, the guest was stripped of the list of its features: add --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int"
    );
}

#[test]
fn a_module_that_asks_for_no_suspending_import_needs_no_instrumentation() {
    let engine = Engine::default();
    let wat = r#"(module (func (export "run") (param i32) (result i32) (local.get 0)))"#;
    let module = Module::new(&engine, wat).unwrap();
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
    let guest = block_on(builder.instantiate()).unwrap();
    assert_eq!(ends(&mut call(&guest, "run", 5)), (5,));
}

#[test]
fn a_dynamic_import_that_never_waits_needs_no_instrumentation() {
    let engine = Engine::default();
    let wat = r#"(module (import "env" "double" (func $double (param i32) (result i32)))
        (func (export "run") (param i32) (result i32) (call $double (local.get 0))))"#;
    let module = Module::new(&engine, wat).unwrap();
    let mut imports = AsyncImports::new();
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    imports.define_plain("env", "double", ty, |_, params| {
        Ok(vec![Val::I32(params[0].unwrap_i32() * 2)])
    });
    assert_eq!(imports.suspending_imports().count(), 0);
    assert_eq!(imports.wasm_opt_args(), "--pass-arg=asyncify-imports@");
    let guest = block_on(Guest::builder(&module).async_imports(imports).instantiate()).unwrap();
    assert_eq!(ends(&mut call(&guest, "run", 5)), (10,));
    // Nothing of it would have to be unwound: it may be called from the host too.
    let nested = guest.try_with(|cx| cx.call::<i32, i32>("run", 6)).unwrap();
    assert_eq!(nested.unwrap(), 12);
}

#[test]
fn a_caller_of_a_suspending_import_that_was_left_out_is_told() {
    let engine = Engine::default();
    let bare = r"(func $first (param i32) (result i32) (call $wait (local.get 0)))";
    let two = r#"(func (export "second") (drop (call $wait (i32.const 1))))"#;
    let (memory, args) = ("(memory 1)", "--pass-arg=asyncify-imports@env.wait");
    let one = module(&engine, &format!("{WAIT} {memory} {RUN} {bare}"));
    assert_error!(
        refused(&one, yielding_wait(&engine, 1)),
        Error::UninstrumentedCaller { import, functions, wasm_opt_args }
            if import == "env.wait" && *functions == ["first"] && wasm_opt_args == args,
        format!("import `env.wait` suspends, but `first` calls it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with {args}")
    );
    let both = module(&engine, &format!("{WAIT} {memory} {RUN} {bare} {two}"));
    assert_error!(
        refused(&both, yielding_wait(&engine, 1)),
        Error::UninstrumentedCaller { functions, .. } if *functions == ["first", "second"],
        format!("import `env.wait` suspends, but `first` and `second` call it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with {args}")
    );
    let builder = Guest::builder(&both).async_imports(yielding_wait(&engine, 1));
    let trusted = block_on(builder.trust_instrumentation().instantiate()).unwrap();
    assert_eq!(block_on(call(&trusted, "run", 5)).unwrap(), (ran(5),));
}

/// The pass was told of `env.wait`, and `env.other` was misspelt: both are called in one function.
#[test]
fn an_import_that_the_pass_was_not_told_of_is_told_beside_one_that_it_was() {
    let engine = Engine::default();
    let desk = Desk::new();
    let both = |before: &str| {
        let fields = format!(
            r#"{WAIT} (import "env" "other" (func $other (param i32) (result i32))) (memory 1)
            (func $both (export "both") (param $x i32) (result i32) (local $answer i32)
              (if REWINDING
                (then (local.set $x (call $pop)))
                (else (local.set $x (call $other (local.get $x))) {before}))
              (local.set $answer (call $wait (local.get $x)))
              (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
              (local.get $answer))"#
        );
        let mut imports = desk.imports(&engine);
        desk.define(&mut imports, &engine, "other");
        let module = module(&engine, &fields);
        block_on(Guest::builder(&module).async_imports(imports).instantiate())
    };
    assert_error!(
        both("").unwrap_err(),
        Error::UninstrumentedCaller { import, functions, .. }
            if import == "env.other" && *functions == ["both"],
        "import `env.other` suspends, but `both` calls it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with --pass-arg=asyncify-imports@env.wait,env.other"
    );
    // Nor is it taken for one that the guest does not expect back.
    both("unreachable").unwrap();
}

#[test]
fn all_imports_that_do_not_fit_are_listed_with_both_signatures() {
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "gone" (func (param f32 v128) (result i64 f64)))
        (import "env" "limit" (global i64)) (import "env" "table" (table 1 funcref))
        (import "env" "memory" (memory 1)) {RUN}"#
    );
    let mut imports = AsyncImports::new();
    import(&mut imports, &engine, "wait", &[ValType::I64], &[], |_| async { Ok(vec![]) });
    import(&mut imports, &engine, "gon", &[], &[], |_| async { Ok(vec![]) });
    let error = refused(&module(&engine, &fields), imports);
    let Error::Imports(mismatches) = &error else { panic!("{error:?}") };
    let rows: Vec<_> =
        mismatches.iter().map(|row| (&*row.import, &*row.wanted, row.defined.as_deref())).collect();
    let expected = [
        ("env.wait", "(i32) -> (i32)", Some("(i64) -> ()")),
        ("env.gone", "(f32, v128) -> (i64, f64)", None),
        ("env.limit", "a global of type i64", None),
        ("env.table", "a table", None),
    ];
    assert_eq!(rows, expected);
    assert_eq!(
        error.to_string(),
        "4 of the module's imports cannot be linked:\n    `env.wait`: the module wants (i32) -> (i32), the host has (i64) -> ()\n    `env.gone`: the module wants (f32, v128) -> (i64, f64), the host has none, but has `env.gon`\n    `env.limit`: the module wants a global of type i64, the host has none\n    `env.table`: the module wants a table, the host has none\noffer them with `Builder::imports` or `Builder::link`, or let missing ones trap with `Builder::trap_unknown_imports`"
    );
}

#[test]
fn unknown_imports_trap_when_they_are_called_if_that_is_wanted() {
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "gone" (func $gone)) (memory 1) {RUN}
        (func (export "calls") (param i32) (result i32) (call $gone) (i32.const 0))"#
    );
    let module = module(&engine, &fields);
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
    let guest = block_on(builder.trap_unknown_imports().instantiate()).unwrap();
    assert_eq!(block_on(call(&guest, "run", 5)).unwrap(), (ran(5),));
    let error = fails(&mut call(&guest, "calls", 5));
    let unknown = error
        .downcast_ref::<wasmtime::UnknownImportError>()
        .map(|unknown| (unknown.module().to_owned(), unknown.name().to_owned()));
    assert_eq!(unknown, Some(("env".to_owned(), "gone".to_owned())), "{error:?}");
}

#[test]
fn an_import_that_is_defined_twice_is_told() {
    let engine = Engine::default();
    let desk = Desk::new();
    let mut imports = desk.imports(&engine);
    desk.define(&mut imports, &engine, "wait");
    let error = refused(&module(&engine, &format!("{WAIT} (memory 1) {RUN}")), imports);
    let Error::Config(text) = &error else { panic!("{error:?}") };
    assert!(text.starts_with("import `env.wait` cannot be defined: "), "{text}");
}

#[test]
fn an_error_of_the_users_own_linking_is_kept() {
    let engine = Engine::default();
    let module = module(&engine, "(memory 1)");
    let broken = Guest::builder(&module).link(|_| Err("no such thing"));
    assert_error!(
        block_on(broken.instantiate()).unwrap_err(),
        Error::Instantiate { source } if source.to_string() == "no such thing",
        "the module could not be instantiated: no such thing"
    );
}

#[test]
fn exports_that_are_not_there_are_told_with_those_that_are() {
    let guest = guest_with(
        &Desk::new(),
        r#"(table (export "table") 2 funcref) (global (export "limit") i32 (i32.const 1))
        (func (export "other"))"#,
    );
    let exports = guest.all_exports();
    let names: Vec<_> = exports.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["memory", "run", "table", "limit", "other"], "nothing of Asyncify's");
    for (error, kind, present) in [
        (exports.function("nope").unwrap_err(), "function", "`run` and `other`"),
        (exports.function("asyncify_get_state").unwrap_err(), "function", "`run` and `other`"),
        (exports.typed::<(), ()>("table").unwrap_err(), "function", "`run` and `other`"),
        (exports.memory("run").unwrap_err(), "memory", "`memory`"),
        (exports.table("nope").unwrap_err(), "table", "`table`"),
        (exports.global("__asyncify_state").unwrap_err(), "global", "`limit`"),
    ] {
        let Error::NoSuchExport { kind: found, name, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*found, kind);
        let text = format!("the guest exports no {kind} `{name}`; it exports {present}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn plain_calls_of_what_is_not_there_are_told() {
    let guest = guest_with(&Desk::new(), r#"(table (export "table") funcref (elem $run $run))"#);
    let errors = guest.try_with(|cx| {
        [
            cx.call::<(), ()>("nope", ()).unwrap_err(),
            cx.call::<(i64,), ()>("run", (1,)).unwrap_err(),
            cx.call_table::<(), ()>("nope", 0, ()).unwrap_err(),
            cx.call_table::<(), ()>("table", 2, ()).unwrap_err(),
            cx.call_table::<(i64,), i32>("table", 1, (1,)).unwrap_err(),
        ]
    });
    let texts = errors.unwrap().map(|error| error.to_string());
    let expected = [
        "the guest exports no function `nope`; it exports `run`",
        "`run` has the type (i32) -> (i32), and was used as (i64,) -> ()",
        "the guest exports no table `nope`; it exports `table`",
        "the guest exports no function `table[2]`; it exports `table[0]` and `table[1]`",
        "`table[1]` has the type (i32) -> (i32), and was used as (i64,) -> i32",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_function_that_is_used_with_another_signature_is_told() {
    let guest = guest_with(&Desk::new(), "");
    assert_error!(
        guest.all_exports().typed::<(i64, f32), ()>("run").unwrap_err(),
        Error::SignatureMismatch { function, expected, actual }
            if (&**function, &**expected, &**actual)
            == ("run", "(i64, f32) -> ()", "(i32) -> (i32)"),
        "`run` has the type (i32) -> (i32), and was used as (i64, f32) -> ()"
    );
    let run = guest.all_exports().function("run").unwrap();
    for args in [vec![], vec![Val::I64(1)], vec![Val::I32(1), Val::I32(2)]] {
        let text = format!(
            "`run` has the type (i32) -> (i32), and was used as one for the arguments {args:?}"
        );
        assert_error!(
            fails(&mut run.call(args)),
            Error::SignatureMismatch { function, .. } if function == "run",
            text
        );
    }
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

/// What the attribute makes of a trait that does not fit.
#[derive(Debug)]
struct App;

impl Exports for App {
    const NAME: &'static str = "App";
    const EXPORTS: &'static [ExportInfo] = &[
        ExportInfo::new::<Direct, ()>("gone", true, &[], "", ""),
        ExportInfo::new::<Direct, ()>(
            "run",
            true,
            &[ParamInfo::arg_val::<u64>("pages", "u64")],
            "",
            "",
        ),
    ];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        let gone = lookup.function::<(), Direct, ()>(&Self::EXPORTS[0]);
        let run = lookup.function::<(ByValue<u64>, ()), Direct, ()>(&Self::EXPORTS[1]);
        gone.and(run).map(|_| Self)
    }
}

#[test]
fn all_exports_that_differ_from_a_trait_are_listed() {
    let guest = guest_with(&Desk::new(), "");
    assert_error!(
        guest.exports::<App>().unwrap_err(),
        Error::Exports { interface, mismatches } if interface == "App" && mismatches.len() == 2,
        "the guest's exports differ from `App`:\n    the guest exports no function `gone`; it exports `run`\n    `run` is declared as (i64) -> (), the guest has (i32) -> (i32)"
    );
}

#[test]
fn a_module_needs_one_memory_to_unwind_into() {
    let engine = Engine::default();
    assert_error!(
        Module::new(&engine, by_hand("(memory 1) (memory 1)")).unwrap_err(),
        Error::SeveralMemories { count: 2 },
        "the module has 2 memories, and only one is supported; link the guest with a single memory"
    );
    let bare = r#"(module
        (global (export "__asyncify_state") (mut i32) (i32.const 0))
        (global (export "__asyncify_data") (mut i32) (i32.const 0)))"#;
    assert_error!(
        Module::new(&engine, bare).unwrap_err(),
        Error::NoMemory,
        "the module has no memory, and Asyncify unwinds into one; link the guest with a memory"
    );
}
