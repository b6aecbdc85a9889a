//! The shadow stack pointer and the size of its stack.

use asyncify_rt::{FoundBy, Prepared, StackPointer};

use super::findings;

/// What is said about the stack pointer of a module with two pages of memory.
fn stack_pointer(fields: &str) -> StackPointer {
    findings(&format!("(module {fields})")).stack_pointer().clone()
}

#[test]
fn the_stack_pointer_is_found_by_name() {
    let by_name = |name: &str| FoundBy::Name(name.to_owned());
    let several = "(memory 2) (global $other (mut i32) (i32.const 32))";
    for (fields, export, name) in [
        ("(global $__stack_pointer (mut i32) (i32.const 7))", "__stack_pointer", "__stack_pointer"),
        (
            r#"(global (export "__stack_pointer") (mut i32) (i32.const 64))"#,
            "__stack_pointer",
            "__stack_pointer",
        ),
        (
            "(global $~lib/memory/__stack_pointer (mut i32) (i32.const 34172))",
            "__stack_pointer",
            "~lib/memory/__stack_pointer",
        ),
    ] {
        let found = stack_pointer(&format!("{several} {fields}"));
        assert_eq!(found, StackPointer::Found { export: export.to_owned(), by: by_name(name) });
    }
    let imported =
        stack_pointer(r#"(import "env" "__stack_pointer" (global (mut i32))) (memory 2)"#);
    assert_eq!(imported.export(), Some("__stack_pointer"));
}

#[test]
fn the_stack_pointer_is_found_by_functions() {
    let globals =
        "(memory 2) (global $a (mut i32) (i32.const 64)) (global $b (mut i32) (i32.const 128))";
    let named = stack_pointer(&format!(
        r#"{globals} (func (export "emscripten_stack_get_current") (result i32) global.get $b)
           (func (export "_emscripten_stack_restore") (param i32) (global.set $b (local.get 0)))"#
    ));
    assert_eq!(named.export(), Some("asyncify:global:1"));
    assert!(named.to_string().contains("_emscripten_stack_restore"), "{named}");
    let minified = stack_pointer(&format!(
        r#"{globals} (func (export "x") (result i32) global.get $a)
           (func (export "y") (param i32) (global.set $a (local.get 0)))
           (func (export "z") (result i32) global.get $b)"#
    ));
    assert_eq!(minified.export(), Some("asyncify:global:0"));
}

#[test]
fn the_only_candidate_is_the_stack_pointer() {
    // Unlike `$heap`, which only grows, and a counter, the first is lowered.
    let found = stack_pointer(
        "(memory 2) (global $sp (mut i32) (i32.const 65536)) (global $heap (mut i32) (i32.const 66560))
         (global $count (mut i32) (i32.const 0))
         (func (param i32) (result i32)
           (global.set $count (i32.add (global.get $count) (i32.const 1)))
           (global.set $heap (i32.add (global.get $heap) (local.get 0)))
           (local.set 0 (global.get $sp))
           (global.set $sp (local.tee 0 (i32.sub (local.get 0) (i32.const 16))))
           (global.set $sp (i32.add (local.get 0) (i32.const 16)))
           (global.get $heap))",
    );
    let by = FoundBy::OnlyCandidate { start: 65536 };
    assert_eq!(found, StackPointer::Found { export: "asyncify:global:0".to_owned(), by });
}

#[test]
fn without_a_candidate_there_is_no_shadow_stack() {
    for fields in [
        "",
        "(memory 2)",
        "(memory 2) (global (mut i32) (i32.const 0)) (global (mut i32) (i32.const 9)) (global i32 (i32.const 64))",
        "(memory 2) (global (mut i32) (i32.const 131088)) (global (mut i64) (i64.const 64))",
    ] {
        assert_eq!(stack_pointer(fields), StackPointer::Absent, "{fields}");
    }
}

#[test]
fn what_is_not_certain_is_not_guessed() {
    for (fields, listed) in [
        (
            "(memory 2) (global $a (mut i32) (i32.const 64)) (global $b (mut i32) (i32.const 96))",
            "(`b`)",
        ),
        (r#"(import "e" "x" (global (mut i32))) (memory 2)"#, "(`x`)"),
        // A heap's end, which only grows.
        (
            "(memory 2) (global (mut i32) (i32.const 1024))
             (func (param i32) (global.set 0 (i32.add (local.get 0) (global.get 0))))",
            "0x400",
        ),
        // Used as a stack pointer is, but it starts somewhere else.
        (
            "(memory 2) (global (mut i32) (i32.const 34172))
             (func (global.set 0 (i32.add (global.get 0) (i32.const -8))))",
            "0x857c",
        ),
    ] {
        let found = stack_pointer(fields);
        let StackPointer::Uncertain { reason } = &found else { panic!("{found}") };
        assert!(reason.contains(listed), "{reason}");
    }
}

#[test]
fn the_stack_size_is_told_where_it_can_be() {
    let sp = "(memory 2) (global $__stack_pointer (mut i32) (i32.const 65536))";
    for (fields, size) in [
        (r#"(data (i32.const 65536) "first")"#, Some(65536)),
        (r#"(data (i32.const 1024) "below")"#, None),
        (r#"(data (i32.const 65536) "first") (data "passive")"#, None),
        // Without segments, data that is zero lies above a stack that ends with a page.
        ("", Some(65536)),
        (
            r#"(data (i32.const 1024) "x") (global (export "__data_end") i32 (i32.const 1025))"#,
            Some(65536 - 1040),
        ),
        (r#"(global (export "__stack_low") i32 (i32.const 32768))"#, Some(32768)),
        (
            r#"(global $base (mut i32) (i32.const 0)) (global $end (mut i32) (i32.const 0))
               (func (export "emscripten_stack_init")
                 (global.set $base (i32.const 65536)) (global.set $end (i32.const 4096)))"#,
            Some(65536 - 4096),
        ),
    ] {
        assert_eq!(findings(&format!("(module {sp} {fields})")).stack_size(), size, "{fields}");
    }
    let odd = "(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 66576)))";
    assert_eq!(findings(odd).stack_size(), None);
    let guests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests");
    for (name, size) in [("stack.wasm", 64 << 10), ("stack-libc.wasm", 16 << 20)] {
        let prepared = Prepared::new(std::fs::read(guests.join(name)).unwrap()).unwrap();
        assert_eq!(prepared.findings().stack_size(), Some(size), "{name}");
    }
}
