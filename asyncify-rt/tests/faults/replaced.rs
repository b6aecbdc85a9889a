//! Replacing one function of many, and hosts under the names of a minified module.

use asyncify_rt::{AsyncImports, Builder, Error, Guest, Module, Place};
use wasmtime::{Engine, FuncType, Val, ValType};

use crate::common::{RUN, WAIT, assert_error, block_on, call, module, ran, yielding_wait};

const ASKS: &str = r#"(module (import "env" "answer" (func $answer (result i32)))
    (func (export "run") (result i32) call $answer))"#;

fn answers(engine: &Engine, answer: i32) -> AsyncImports<()> {
    let mut imports = AsyncImports::new();
    let ty = FuncType::new(engine, [], [ValType::I32]);
    imports.define_plain("env", "answer", ty, move |_, _| Ok(vec![Val::I32(answer)]));
    imports
}

fn asked(builder: Builder<()>) -> i32 {
    let guest = block_on(builder.instantiate()).unwrap();
    let run = guest.all_exports().typed::<(), (i32,)>("run").unwrap();
    block_on(run.call(())).unwrap().0
}

#[test]
fn an_import_that_is_defined_twice_is_told_with_the_cure() {
    let engine = Engine::default();
    let module = Module::new(&engine, ASKS).unwrap();
    let twice = || {
        Guest::builder(&module)
            .async_imports(answers(&engine, 1))
            .async_imports(answers(&engine, 2))
    };
    let error = block_on(twice().instantiate()).unwrap_err();
    assert_error!(
        error,
        Error::Config(_),
        "import `env.answer` cannot be defined: import of `env::answer` defined twice; if it has been defined already, leave one out with `without`, or let the later one count with `allow_shadowing`"
    );
    assert_eq!(asked(twice().allow_shadowing()), 2);
    let first = Guest::builder(&module).async_imports(answers(&engine, 1)).without("env.answer");
    assert_eq!(asked(first.async_imports(answers(&engine, 2))), 2);
}

#[test]
fn what_is_to_be_left_out_must_be_there() {
    let engine = Engine::default();
    let module = Module::new(&engine, ASKS).unwrap();
    let builder = Guest::builder(&module).async_imports(answers(&engine, 1));
    assert_error!(
        block_on(builder.without("env.anwser").instantiate()).unwrap_err(),
        Error::NoSuchImport { .. },
        "the host has no import `env.anwser` (did you mean `env.answer`?); it has `env.answer`"
    );
}

/// An instrumented guest that has other names for what it imports.
fn minified(engine: &Engine, instrumented: bool) -> Module {
    let wait = WAIT.replace(r#""env" "wait""#, r#""a" "b.c""#);
    assert_ne!(wait, WAIT);
    if instrumented {
        module(engine, &format!("{wait} (memory 1) {RUN}"))
    } else {
        Module::new(engine, format!("(module {wait} (memory 1))")).unwrap()
    }
}

#[test]
fn a_host_serves_a_guest_that_has_other_names() {
    let engine = Engine::default();
    let module = minified(&engine, true);
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 2));
    let guest = block_on(builder.rename("a.b.c", "env.wait").instantiate()).unwrap();
    assert_eq!(block_on(call(&guest, "run", 5)).unwrap(), (ran(5),));
}

#[test]
fn a_renamed_import_that_differs_is_told_by_both_names() {
    let engine = Engine::default();
    let wat = r#"(module (import "a" "b.c" (func (param f32))) (memory 1))"#;
    let module = Module::new(&engine, wat).unwrap();
    let builder = Guest::builder(&module).async_imports(answers(&engine, 1));
    let error = block_on(builder.rename("a.b.c", "env.answer").instantiate()).unwrap_err();
    let row = "`a.b.c`, which the host calls `env.answer`: the module wants (f32) -> (), the host has () -> (i32)";
    assert!(
        matches!(&error, Error::Imports(rows) if rows[0].renamed.as_deref() == Some("env.answer"))
    );
    assert!(error.to_string().contains(row), "{error}");
}

#[test]
fn a_guest_with_other_names_is_instrumented_for_those() {
    let engine = Engine::default();
    let module = minified(&engine, false);
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
    let error = block_on(builder.rename("a.b.c", "env.wait").instantiate()).unwrap_err();
    assert!(
        matches!(&error, Error::NotInstrumented { suspending, wasm_opt_args, .. }
            if *suspending == ["a.b.c"] && wasm_opt_args == "--pass-arg=asyncify-imports@a.b.c"),
        "{error}"
    );
}

#[test]
fn an_export_is_found_by_another_name_too() {
    let wat = r#"(module (memory 1) (global $break (mut i32) (i32.const 1024))
        (func $carve (export "w") (param i32) (result i32) global.get $break
          (global.set $break (i32.add (global.get $break) (i32.const 64))))
        (func (export "N") (param i32)) (func (export "c") (result i32) i32.const 7))"#;
    let module = Module::new(&Engine::default(), wat).unwrap();
    let build = || Guest::builder(&module).rename_export("w", "malloc").rename_export("N", "free");
    let functions = Place::Functions { malloc: "malloc".to_owned(), free: "free".to_owned() };
    let guest = block_on(build().rename_export("c", "run").place(functions).instantiate()).unwrap();
    for name in ["c", "run"] {
        let run = guest.all_exports().typed::<(), (i32,)>(name).unwrap();
        assert_eq!(block_on(run.call(())).unwrap(), (7,));
        assert_eq!(guest.try_with(|cx| cx.call::<(), i32>(name, ())).unwrap().unwrap(), 7);
    }
    let placed = guest.try_with(|cx| cx.place(&[1, 2, 3])).unwrap().unwrap();
    assert_eq!(placed.ptr, 1024);

    let refused = |theirs: &str, ours: &str| {
        block_on(build().rename_export(theirs, ours).instantiate()).unwrap_err()
    };
    assert_error!(
        refused("run", "c.run"),
        Error::NoSuchExport { .. },
        "the guest exports no item `run`; it exports `w`, `N`, `c`, `malloc` and `free`"
    );
    assert_error!(
        refused("c", "w"),
        Error::Config(_),
        "the guest has an export `w` already, as which `Builder::rename_export` names `c`"
    );
}

#[test]
fn a_name_of_the_map_that_nobody_has_is_told_with_the_nearest() {
    let engine = Engine::default();
    let module = minified(&engine, true);
    let refused = |theirs, ours| {
        let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
        block_on(builder.rename(theirs, ours).instantiate()).unwrap_err()
    };
    assert_error!(
        refused("x.b.c", "env.wait"),
        Error::Config(_),
        "the module has no import `x.b.c`, which `Builder::rename` names; did you mean `a.b.c`?"
    );
    assert_error!(
        refused("a.b.c", "env.waitt"),
        Error::NoSuchImport { .. },
        "the host has no import `env.waitt` (did you mean `env.wait`?); it has `env.wait`"
    );
}
