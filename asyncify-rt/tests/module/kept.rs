//! Keeping what was prepared, and bytes that are damaged.

use asyncify_rt::{Error, Findings, Module, Prepared};
use proptest::prelude::*;
use wasmtime::Engine;

use super::{findings, instrumented, prepare};

#[test]
fn prepared_modules_and_findings_can_be_kept() {
    let engine = Engine::default();
    let prepared =
        prepare(&instrumented(r#"(import "e" "f" (func)) (memory 1) (func $bad call 0)"#));
    let kept = prepared.to_bytes();
    assert_eq!(Prepared::from_bytes(&kept).unwrap(), prepared);
    let findings = Findings::from_bytes(&prepared.findings().to_bytes()).unwrap();
    assert_eq!(&findings, prepared.findings());

    let compiled = wasmtime::Module::new(&engine, prepared.wasm()).unwrap();
    Module::from_compiled(findings.clone(), compiled).unwrap();
    for other in ["(module)", r#"(module (memory (export "memory") 1))"#] {
        let other = wasmtime::Module::new(&engine, wat::parse_str(other).unwrap()).unwrap();
        let error = Module::from_compiled(findings.clone(), other).unwrap_err();
        assert!(matches!(error, Error::StalePrepared { .. }), "{error}");
    }
    for at in 0..kept.len() {
        let shorter = |cut: Prepared| cut.wasm().len() < prepared.wasm().len();
        assert!(Prepared::from_bytes(&kept[..at]).map_or(true, shorter));
    }
    let older =
        kept.iter().map(|byte| if *byte == b'1' { b'0' } else { *byte }).collect::<Vec<_>>();
    assert!(matches!(Prepared::from_bytes(&older), Err(Error::StalePrepared { .. })));
    let longer = [findings.to_bytes(), vec![0]].concat();
    assert!(matches!(Findings::from_bytes(&longer), Err(Error::StalePrepared { .. })));
}

/// Two builds may have the same exports, and other functions that suspend, globals and tables.
#[test]
fn parts_of_two_builds_are_told_apart() {
    let engine = Engine::default();
    let builds: Vec<_> = (0..14)
        .map(|number: usize| {
            let bad = ["(func $bad call 0)", "(func $bad)"][number % 2];
            let order = ["(memory 1)", "(memory 2)", "(memory 1 9)"][number % 3];
            let fields = format!(
                r#"(import "e" "f" (func)) {order} {bad} (func (drop (i32.const {number})))"#
            );
            prepare(&instrumented(&fields))
        })
        .collect();
    let kept = |findings: &Prepared, wasm: &Prepared| {
        let (whole, own) = (findings.to_bytes(), findings.wasm().len());
        [&whole[..whole.len() - own], wasm.wasm()].concat()
    };
    for (number, one) in builds.iter().enumerate() {
        for (other_number, other) in builds.iter().enumerate() {
            let compiled = wasmtime::Module::new(&engine, other.wasm()).unwrap();
            let taken = Module::from_compiled(one.findings().clone(), compiled);
            let read = Prepared::from_bytes(&kept(one, other));
            if number == other_number {
                taken.unwrap();
                assert_eq!(&read.unwrap(), one);
            } else {
                assert!(matches!(taken, Err(Error::StalePrepared { .. })));
                assert!(matches!(read, Err(Error::StalePrepared { .. })));
            }
        }
    }
}

/// The name that tells a build cannot be had by another module.
#[test]
fn a_build_is_not_taken_on_trust() {
    let prepared = prepare(&instrumented("(memory 1)"));
    let name = prepared.findings().added_exports().last().unwrap().clone();
    assert!(name.starts_with("asyncify:build:"), "{name}");
    let claims = format!(r#"(memory 1) (export "{name}" (memory 0))"#);
    let error = Prepared::new(wat::parse_str(instrumented(&claims)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("asyncify:build:"), "{error}");
    let short = r#"(memory 1) (export "asyncify:build:1" (memory 0))"#;
    assert!(Prepared::new(wat::parse_str(instrumented(short)).unwrap()).is_err());
    let again = Prepared::new(prepared.wasm()).unwrap();
    assert_eq!(again.wasm(), prepared.wasm());
    assert!(Module::from_prepared(again, &Engine::default()).is_ok());
}

/// If this fails, the kept form has changed, and needs another version number.
#[test]
fn the_kept_form_is_that_of_its_version() {
    let global = r"(global $__stack_pointer (mut i32) (i32.const 64))";
    let findings = findings(&format!(r#"(module (memory (export "m") 1) {global})"#));
    let bytes = findings.to_bytes().escape_ascii().to_string();
    let build = "e5eecbc66bc98f4f96326c9a0108955399f60402c281269c716b483ffcd8058f";
    let expected = b"asyncify findings 4\n\x01@BUILD\0\0\x01\x01m\0\0\x0f__stack_pointer\0\x0f__stack_pointer\0\x01\0\x40\0\0\0\0\0\x01\0\x0f__stack_pointer\x01\x0f__stack_pointer\0\x02\x0f__stack_pointer\x4fasyncify:build:BUILD\0\0\0\0\0\0\0\0\0";
    assert_eq!(bytes, expected.escape_ascii().to_string().replace("BUILD", build));
}

fn sample() -> Vec<u8> {
    let fields = r#"(import "env" "sleep" (func $sleep (param i32))) (memory (export "memory") 1 2) (table 1 funcref)
        (global $__stack_pointer (mut i32) (i32.const 65536)) (global $end i32 (i32.const 64))
        (func $run (export "run") (local i64 f32)
          (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
          (call $sleep (i32.const 1)))
        (func $bad call $run) (elem (i32.const 0) $run) (data (i32.const 64) "data")"#;
    wat::parse_str(instrumented(fields)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_modules_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), keep in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let mut wasm = sample();
        for (at, byte) in changes {
            let at = at.index(wasm.len());
            wasm[at] = byte;
        }
        if cut {
            wasm.truncate(keep.index(wasm.len()));
        }
        if let Ok(prepared) = Prepared::new(&wasm) {
            prop_assert_eq!(&Prepared::from_bytes(&prepared.to_bytes()).unwrap(), &prepared);
            let again = Prepared::new(prepared.wasm()).unwrap();
            prop_assert_eq!(again.wasm(), prepared.wasm());
            let valid = |bytes: &[u8]| wasmparser::Validator::new().validate_all(bytes).is_ok();
            prop_assert_eq!(valid(&wasm), valid(prepared.wasm()));
        }
    }

    #[test]
    fn damaged_kept_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut kept = Prepared::new(sample()).unwrap().to_bytes();
        for (at, byte) in changes {
            let at = at.index(kept.len());
            kept[at] = byte;
        }
        if let Ok(prepared) = Prepared::from_bytes(&kept) {
            let _ = prepared.findings().uninstrumented_callers(&[("env", "sleep")]);
            let _ = prepared.findings().uninstrumented();
        }
    }
}

/// The names of the two globals that a preparation adds, on something else of the module's.
#[test]
fn what_only_has_the_names_of_a_guard_is_no_guard() {
    let engine = Engine::default();
    let stack = r#"(memory 1) (global $sp (mut i32) (i32.const 64)) (global $other (mut i32) (i32.const 0))
        (func (export "run")
          (global.set $sp (i32.sub (global.get $sp) (i32.const 16)))
          (i32.store (global.get $sp) (i32.const 1))
          (global.set $sp (i32.add (global.get $sp) (i32.const 16))))"#;
    for (limit, hit) in [
        ("global $state", "global $data"),
        ("global $data", "global $state"),
        ("global $other", "global $other"),
        ("global $other", "global $sp"),
        ("func 0", "memory 0"),
    ] {
        let exports = format!(
            r#"{stack} (export "asyncify:stack:limit" ({limit})) (export "asyncify:stack:hit" ({hit}))"#
        );
        let prepared = prepare(&instrumented(&exports));
        let findings = prepared.findings().clone();
        let again = Prepared::new(prepared.wasm()).unwrap();
        assert_eq!(again.wasm(), prepared.wasm(), "{limit} {hit}");
        let asyncify = findings.asyncify().expect("it is instrumented");
        assert_ne!(asyncify.state(), "", "{limit} {hit}");
        Module::from_prepared(prepared, &engine).unwrap();
    }
}
