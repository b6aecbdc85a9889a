//! What preparing adds to a module: exports, and nothing else.

use asyncify_rt::{Module, Prepared};
use wasmparser::{Parser, Payload};
use wasmtime::Engine;

use super::{added_names, findings, instrumented, prepare};

/// The sections but the exports, each with its bytes.
fn other_sections(wasm: &[u8]) -> Vec<(u8, &[u8])> {
    Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| payload.unwrap().as_section())
        .filter(|(id, _)| *id != 7)
        .map(|(id, range)| (id, &wasm[range]))
        .collect()
}

fn exports(wasm: &[u8]) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            found.extend(section.into_iter().map(|export| {
                let export = export.unwrap();
                (export.name.to_owned(), export.index)
            }));
        }
    }
    found
}

#[test]
fn only_the_export_section_changes() {
    for wat in [
        instrumented(r#"(import "e" "f" (func)) (memory 1) (table 1 funcref) (start 0) (data (i32.const 64) "x")"#),
        r#"(module (memory 1) (global (mut f64) (f64.const 0)) (func $f) (start $f) (elem func $f) (data "x") (@custom "a" "b"))"#.into(),
        r#"(module (@custom "first" (before first) "x") (memory 1))"#.into(),
    ] {
        let wasm = wat::parse_str(&wat).unwrap();
        let prepared = Prepared::new(&wasm).unwrap();
        assert_eq!(other_sections(&wasm), other_sections(prepared.wasm()));
        let (old, new) = (exports(&wasm), exports(prepared.wasm()));
        assert_eq!(old, new[..old.len()]);
        let added: Vec<_> = new[old.len()..].iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(added, prepared.findings().added_exports());
        Module::from_prepared(prepared, &Engine::default()).unwrap();
    }
}

#[test]
fn preparing_again_changes_nothing() {
    for fields in [
        "(memory 1) (global $__stack_pointer (mut i32) (i32.const 64))",
        "(memory 1) (global (mut i32) (i32.const 64)) (global (mut i64) (i64.const 1))",
        r#"(import "e" "m" (memory 1)) (import "e" "sp" (global (mut i32)))"#,
    ] {
        let first = prepare(&instrumented(fields));
        let second = Prepared::new(first.wasm()).unwrap();
        assert_eq!(first.wasm(), second.wasm());
        let (first, second) = (first.findings(), second.findings());
        assert!(second.added_exports().is_empty());
        assert_eq!(first.asyncify(), second.asyncify());
        assert_eq!(first.memory(), second.memory());
        assert_eq!(first.stack_pointer(), second.stack_pointer());
        assert_eq!(first.mutable_globals(), second.mutable_globals());
    }
}

#[test]
fn taken_names_are_avoided() {
    let findings = findings(
        r#"(module (memory 1) (global $__stack_pointer (mut i32) (i32.const 64)) (global $n (mut f32) (f32.const 0))
           (func (export "memory")) (func (export "__stack_pointer"))
           (func (export "asyncify:global:1")) (func (export "asyncify:global:1:2")))"#,
    );
    assert_eq!(added_names(&findings), ["memory:2", "__stack_pointer:2", "asyncify:global:1:3"]);
    assert_eq!(findings.stack_pointer().export(), Some("__stack_pointer:2"));
    for name in ["n", "1", "asyncify:global:1:3"] {
        assert_eq!(findings.global_export(name), Some("asyncify:global:1:3"));
    }
    assert_eq!(findings.global_export("2"), None);
}
