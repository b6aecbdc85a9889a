//! Preparing modules: what is found in them, what is added, and what is refused.

mod added;
mod callers;
mod control;
mod guarded;
mod kept;
mod kinds;
mod many;
mod stack_pointer;

use asyncify_rt::{Allocator, Error, Findings, GlobalKind, Module, PointerWidth, Prepared};
use wasmtime::Engine;

/// The four functions as Binaryen writes them, with `$state` and `$data`, exported by `names`.
fn asyncify(pointer: &str, names: [&str; 4]) -> String {
    let check = |at: &str| {
        let end = if pointer == "i32" { 4 } else { 8 };
        format!(
            "(if ({pointer}.gt_u ({pointer}.load {at}) ({pointer}.load offset={end} {at})) (then unreachable))"
        )
    };
    let global = check("(global.get $data)");
    let [start_unwind, stop_unwind, start_rewind, stop_rewind] = names;
    format!(
        r#"(global $state (mut i32) (i32.const 0))
           (global $data (mut {pointer}) ({pointer}.const 0))
           (func (export "{start_unwind}") (param {pointer})
             (global.set $state (i32.const 1)) (global.set $data (local.get 0)) {global})
           (func (export "{stop_unwind}") (export "{stop_rewind}")
             (global.set $state (i32.const 0)) {global})
           (func (export "{start_rewind}") (param {pointer})
             (global.set $data (local.get 0)) (global.set $state (i32.const 2)) {})"#,
        check("(local.get 0)")
    )
}

const NAMES: [&str; 4] = [
    "asyncify_start_unwind",
    "asyncify_stop_unwind",
    "asyncify_start_rewind",
    "asyncify_stop_rewind",
];

/// A module with `fields` and Asyncify's parts.
fn instrumented(fields: &str) -> String {
    format!("(module {fields} {})", asyncify("i32", NAMES))
}

fn prepare(wat: &str) -> Prepared {
    Prepared::new(wat).unwrap_or_else(|error| panic!("{error}: {error:?}\n{wat}"))
}

fn findings(wat: &str) -> Findings {
    prepare(wat).findings().clone()
}

fn refused(wat: &str) -> Error {
    Prepared::new(wat).expect_err(wat)
}

/// The added exports, but for the one that names the build.
fn added_names(findings: &Findings) -> Vec<&str> {
    let added = findings.added_exports().iter().map(String::as_str);
    added.filter(|name| !name.starts_with("asyncify:build:")).collect()
}

#[test]
fn functions_are_found_by_name() {
    let state = r#"(memory (export "memory") 1) (func (export "asyncify_get_state") (result i32) global.get $state)"#;
    let findings = findings(&instrumented(state));
    let asyncify = findings.asyncify().unwrap();
    assert_eq!(asyncify.state(), "__asyncify_state");
    assert_eq!(asyncify.data(), "__asyncify_data");
    let functions = ["asyncify_start_unwind", "asyncify_stop_unwind", "asyncify_start_rewind"];
    assert_eq!(
        asyncify.functions().collect::<Vec<_>>(),
        [functions.as_slice(), &["asyncify_stop_rewind", "asyncify_get_state"]].concat()
    );
    assert_eq!(added_names(&findings), ["__asyncify_state", "__asyncify_data"]);
    assert_eq!(findings.pointer_width(), PointerWidth::Memory32);
}

#[test]
fn functions_are_found_by_shape() {
    let module = format!(
        r#"(module (import "a" "a" (memory 1)) {})"#,
        asyncify("i32", ["tb", "ub", "vb", "wb"])
    );
    let findings = findings(&module);
    let asyncify = findings.asyncify().unwrap();
    assert_eq!(asyncify.start_unwind(), Some("tb"));
    assert_eq!(asyncify.stop_unwind(), Some("ub"));
    assert_eq!(asyncify.start_rewind(), Some("vb"));
    assert_eq!(asyncify.stop_rewind(), Some("wb"));
    assert_eq!(asyncify.get_state(), None);
    let memory = findings.memory().unwrap();
    assert_eq!((memory.export(), memory.import()), ("memory", Some(("a", "a"))));
}

#[test]
fn one_function_may_stop_both() {
    let parts = asyncify("i32", ["a", "b", "c", "b2"]).replace(r#"(export "b2")"#, "");
    let findings = findings(&format!("(module (memory 1) {parts})"));
    let asyncify = findings.asyncify().unwrap();
    assert_eq!((asyncify.stop_unwind(), asyncify.stop_rewind()), (Some("b"), Some("b")));
}

fn is_sealed(wat: &str) -> bool {
    findings(wat).asyncify().unwrap().is_sealed()
}

#[test]
fn a_module_that_never_sets_its_state_is_sealed() {
    let reads = r"(memory 1) (table 1 funcref) (elem (i32.const 0) func $reads) (start $reads)
        (func $reads (drop (global.get $state)))";
    assert!(is_sealed(&instrumented("(memory 1)")));
    assert!(is_sealed(&instrumented(reads)));
    let minified = format!("(module (memory 1) {})", asyncify("i32", ["tb", "ub", "vb", "wb"]));
    assert!(is_sealed(&minified));
}

#[test]
fn a_module_that_can_set_its_state_is_not_sealed() {
    let stop = "(export \"asyncify_stop_unwind\")";
    for fields in [
        "(func (export \"meddles\") (global.set $state (i32.const 1)))",
        "(func (global.set $state (i32.const 1)))",
        "(func (call $stop))",
        "(func (return_call $stop))",
        "(func (drop (ref.func $stop)))",
        "(func (export \"alias\") (call $stop))",
        "(export \"alias\" (func $stop))",
        "(start $stop)",
        "(table 1 funcref) (elem (i32.const 0) func $stop)",
        "(table 1 funcref) (elem (i32.const 0) funcref (ref.func $stop))",
        "(elem declare func $stop)",
        "(table 1 funcref (ref.func $stop))",
        "(global funcref (ref.func $stop))",
    ] {
        let wat = instrumented(&format!("(memory 1) {fields}"));
        assert!(!is_sealed(&wat.replace(stop, &format!("$stop {stop}"))), "{fields}");
    }
    // Whoever made the global may set it too.
    let wat = instrumented("(memory 1)");
    let imported = "(import \"env\" \"state\" (global $state (mut i32)))";
    let wat = wat.replace("(global $state (mut i32) (i32.const 0))", "");
    assert!(!is_sealed(&wat.replace("(module", &format!("(module {imported}"))));
}

#[test]
fn memory64_is_told() {
    let module = format!(
        "(module (memory i64 1) (global $__stack_pointer (mut i64) (i64.const 1024)) {})",
        asyncify("i64", NAMES)
    );
    let findings = findings(&module);
    assert_eq!(findings.pointer_width(), PointerWidth::Memory64);
    assert_eq!(findings.stack_pointer().export(), Some("__stack_pointer"));
    let kinds: Vec<_> =
        findings.mutable_globals().iter().map(asyncify_rt::MutableGlobal::kind).collect();
    assert_eq!(kinds, [GlobalKind::I64, GlobalKind::I32, GlobalKind::I64]);
}

#[test]
fn exported_globals_are_used_as_they_are() {
    let module = instrumented("(memory 1)")
        .replace("(global $state", r#"(global $state (export "__asyncify_state")"#)
        .replace("(global $data", r#"(global $data (export "__asyncify_data")"#);
    assert_eq!(added_names(&findings(&module)), ["memory"]);

    let alone = r#"(module (memory (export "m") 1)
        (global (export "__asyncify_state") (mut i32) (i32.const 0))
        (global (export "__asyncify_data") (mut i32) (i32.const 0)))"#;
    let findings = findings(alone);
    assert_eq!(findings.asyncify().unwrap().functions().count(), 0);
    assert!(added_names(&findings).is_empty());
}

#[test]
fn functions_of_another_shape_are_not_taken() {
    let other = r#"(module (memory 1)
        (global $a (mut i32) (i32.const 0)) (global $b (mut i32) (i32.const 0))
        (func (export "one") (param i32) (global.set $a (i32.const 1)) (global.set $b (local.get 0)))
        (func (export "two") (param i32)
          (global.set $a (i32.const 3)) (global.set $b (local.get 0))
          (if (i32.gt_u (i32.load (global.get $b)) (i32.load offset=4 (global.get $b))) (then unreachable))))"#;
    assert!(findings(other).asyncify().is_none());
}

#[test]
fn half_an_instrumentation_is_refused() {
    let wat = instrumented("(memory 1)").replace(r#"(export "asyncify_start_rewind")"#, "");
    let error = refused(&wat);
    let Error::MissingAsyncifyExport { present, missing } = &error else { panic!("{error}") };
    assert_eq!(
        (present.as_str(), missing.as_str()),
        ("asyncify_start_unwind", "asyncify_start_rewind")
    );

    let minified = format!("(module (memory 1) {})", asyncify("i32", ["a", "b", "c", "d"]));
    let error = refused(&minified.replace(r#"(export "a")"#, ""));
    let Error::MissingAsyncifyExport { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, "asyncify_start_unwind");

    let empty = r#"(module (memory 1) (func (export "asyncify_start_unwind") (param i32)))"#;
    assert!(matches!(refused(empty), Error::MissingAsyncifyExport { .. }));
}

#[test]
fn a_name_of_another_type_is_refused() {
    let wat = r#"(module (memory 1) (func (export "asyncify_start_unwind") (param i64 f32) (result i32) unreachable))"#;
    let error = refused(wat);
    let Error::AsyncifyExportType { name, expected, found } = &error else { panic!("{error}") };
    assert_eq!(name, "asyncify_start_unwind");
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("a function (i32) -> ()", "a function (i64, f32) -> (i32)")
    );
    let global = r#"(module (memory 1) (global (export "asyncify_get_state") i32 (i32.const 0)))"#;
    assert!(refused(global).to_string().contains("is a global"));
}

#[test]
fn memories_that_cannot_be_used_are_refused() {
    assert!(matches!(
        refused(r#"(module (import "m" "m" (memory 1)) (memory 1))"#),
        Error::SeveralMemories { count: 2 }
    ));
    assert!(matches!(refused("(module (memory 1 1 shared))"), Error::SharedMemory));
    let bare = r#"(module (global (export "__asyncify_state") (mut i32) (i32.const 0))
        (global (export "__asyncify_data") (mut i32) (i32.const 0)))"#;
    assert!(matches!(refused(bare), Error::NoMemory));
    assert!(findings("(module)").memory().is_none());
}

#[test]
fn what_is_no_module_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"\0asm",
        b"\0asm\x0d\0\x01\0",
        b"(module",
        b"\0asm\x01\0\0\0\x07\x05\xff\xff\xff\xff\x0f",
    ] {
        assert!(matches!(Prepared::new(bytes), Err(Error::InvalidModule { .. })), "{bytes:?}");
    }
    assert!(matches!(refused("(component)"), Error::InvalidModule { .. }));
    let missing = Module::from_file(&Engine::default(), "no/such/file.wasm");
    assert!(matches!(missing, Err(Error::File { path, .. }) if path == "no/such/file.wasm"));
}

#[test]
fn allocators_and_initializers_are_found_by_name_and_type() {
    let all = findings(
        r#"(module (func (export "malloc") (param i32) (result i32) unreachable) (func (export "free") (param i32))
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
           (func (export "__wasm_call_ctors")) (func (export "_initialize")))"#,
    );
    assert!(matches!(all.allocator(), Some(Allocator::Malloc { .. })));
    assert_eq!(all.initializer(), Some("_initialize"));
    let script = findings(
        r#"(module (func (export "__new") (param i32 i32) (result i32) unreachable)
           (func (export "__pin") (param i32) (result i32) unreachable) (func (export "__unpin") (param i32))
           (func (export "_initialize") (param i32)) (func (export "__wasm_call_ctors")))"#,
    );
    assert!(matches!(script.allocator(), Some(Allocator::AssemblyScript { .. })));
    assert_eq!(script.initializer(), Some("__wasm_call_ctors"));
    let other = r#"(module (func (export "malloc") (param i64) (result i32) unreachable) (func (export "free") (param i32)))"#;
    assert!(findings(other).allocator().is_none());
}
