//! Which functions call a suspending import without having been instrumented for it.

use std::path::Path;

use asyncify_rt::Prepared;

use super::{findings, instrumented};

#[test]
fn callers_that_do_not_look_at_the_state_are_listed() {
    let fields = r#"(import "env" "sleep" (func $sleep)) (import "env" "log" (func $log)) (memory 1)
        (func $good (drop (global.get $state)) call $sleep (drop (global.get $state)))
        (func $bad call $sleep call $log call $log)
        (func (export "run") call $sleep call $good call $good)
        (func call $log call $bad)
        (func $half (if (i32.eqz (global.get $state)) (then call $sleep)) call $sleep unreachable)"#;
    let found = findings(&instrumented(fields));
    assert_eq!(found.uninstrumented(), ["run"]);
    let named = |import: &str, names: &[&str]| {
        (import.to_owned(), names.iter().map(ToString::to_string).collect())
    };
    assert_eq!(
        found.uninstrumented_callers(&[("env", "sleep")]),
        [named("env.sleep", &["bad", "run", "half"])]
    );
    assert_eq!(
        found.uninstrumented_callers(&[("env", "log")]),
        [named("env.log", &["bad", "function[5]"])]
    );
    assert!(found.uninstrumented_callers(&[("other", "sleep")]).is_empty());
    let plain = r#"(module (import "env" "sleep" (func $sleep)) (func call $sleep))"#;
    assert!(findings(plain).uninstrumented_callers(&[("env", "sleep")]).is_empty());
}

/// Each list is what the guest was instrumented with.
#[test]
fn callers_that_binaryen_instrumented_look_at_the_state() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests");
    for (guest, names) in [
        ("bench.wasm", &["ready", "bytes", "pause"][..]),
        ("bench-whole.wasm", &["ready", "bytes", "pause", "plain", "text"]),
        ("chat.wasm", &["receive", "send"]),
        ("marshal.wasm", &["echo_u8", "take_str", "fill", "make_string", "fallible", "mixed"]),
        ("memory64.wasm", &["wait"]),
        ("quickstart.wasm", &["fetch", "sleep_ms"]),
        ("stack.wasm", &["wait"]),
        ("stack-libc.wasm", &["wait"]),
        ("trampoline.wasm", &["wait", "again", "invoke_ii", "try_ii"]),
        ("values.wasm", &["wait", "wait_i64", "wait_f32", "wait_f64", "wait_v128", "wait_pair"]),
        ("yielding.wasm", &["yield_now", "pause"]),
    ] {
        let prepared = Prepared::new(std::fs::read(guests.join(guest)).unwrap()).unwrap();
        let suspending: Vec<_> = names.iter().map(|name| ("env", *name)).collect();
        let callers = prepared.findings().uninstrumented_callers(&suspending);
        assert!(callers.is_empty(), "{guest}: {callers:?}");
    }
    // What it was not told of stands right beside.
    for guest in ["quickstart.wasm", "memory64.wasm"] {
        let prepared = Prepared::new(std::fs::read(guests.join(guest)).unwrap()).unwrap();
        let callers = prepared.findings().uninstrumented_callers(&[("env", "log")]);
        assert_eq!(callers.len(), 1, "{guest}");
    }
}
