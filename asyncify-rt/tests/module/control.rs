//! Asyncify's functions, as optimizers of any version write them.

use asyncify_rt::Prepared;

use super::findings;

const GLOBALS: &str =
    "(memory 1) (global $data (mut i32) (i32.const 0)) (global $state (mut i32) (i32.const 0))";

/// What each of the functions ends with, given how it may be written.
const CHECKS: [&str; 10] = [
    "(if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable)))",
    // With one local for both reads of the global.
    "(if (i32.gt_u (i32.load (local.tee 0 (global.get $data))) (i32.load offset=4 (local.get 0))) (then (unreachable)))",
    "(local.set 0 (global.get $data)) (if (i32.gt_u (i32.load (local.get 0)) (i32.load offset=4 (local.get 0))) (then (unreachable)))",
    // The other way round, or negated.
    "(if (i32.lt_u (i32.load offset=4 (local.tee 0 (global.get $data))) (i32.load (local.get 0))) (then (unreachable)))",
    "(if (i32.le_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (return))) (unreachable)",
    "(if (i32.ge_u (i32.load offset=4 (global.get $data)) (i32.load (global.get $data))) (then) (else (unreachable)))",
    "(if (i32.eqz (i32.le_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))) (then (unreachable)))",
    // By branches.
    "(block (br_if 0 (i32.le_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))) (unreachable))",
    "(block (block (br_if 0 (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))) (br 1)) (unreachable))",
    // The address of the second is computed.
    "(if (i32.gt_u (i32.load (global.get $data)) (i32.load (i32.add (global.get $data) (i32.const 4)))) (then (unreachable)))",
];

/// What the functions may have in common, to be put between them.
const SHARED: &str = "(func $shared (param i32 i32)
    (global.set $state (local.get 1)) (global.set $data (local.get 0))
    (if (i32.gt_u (i32.load (local.get 0)) (i32.load offset=4 (local.get 0))) (then (unreachable))))
  (func $check
    (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable))))";

/// A module with the four functions, exported by `names`.
fn module(start: &str, stop: &str, names: [&str; 4]) -> String {
    let [unwind, stop_unwind, rewind, stop_rewind] = names;
    let start = |value: &str| start.replace("STATE", value);
    format!(
        r#"(module {GLOBALS}
        (func (export "{unwind}") (param i32) {})
        (func (export "{stop_unwind}") (export "{stop_rewind}") (local i32) {stop})
        (func (export "{rewind}") (param i32) {}))"#,
        start("(i32.const 1)"),
        start("(i32.const 2)"),
    )
}

const NAMED: [&str; 4] = super::NAMES;
const MINIFIED: [&str; 4] = ["tb", "ub", "vb", "wb"];

fn assert_found(start: &str, stop: &str) {
    for names in [NAMED, MINIFIED] {
        let wat = module(start, stop, names);
        let found = Prepared::new(&wat).unwrap_or_else(|error| panic!("{error}: {wat}"));
        let asyncify = found.findings().asyncify().unwrap_or_else(|| panic!("{wat}"));
        let functions = [
            asyncify.start_unwind(),
            asyncify.stop_unwind(),
            asyncify.start_rewind(),
            asyncify.stop_rewind(),
        ];
        assert_eq!(functions, names.map(Some), "{wat}");
        let index = |export| {
            let globals = found.findings().mutable_globals();
            globals
                .iter()
                .find(|global| global.export() == export)
                .map(asyncify_rt::MutableGlobal::index)
        };
        assert_eq!((index(asyncify.data()), index(asyncify.state())), (Some(0), Some(1)), "{wat}");
        assert_eq!(asyncify.is_sealed(), !wat.contains("$shared"), "{wat}");
    }
}

#[test]
fn they_are_told_by_what_they_do_however_they_are_written() {
    const STATE_FIRST: &str = "(global.set $state STATE) (global.set $data (local.get 0))";
    const DATA_FIRST: &str = "(global.set $data (local.get 0)) (global.set $state STATE)";
    for check in CHECKS {
        for sets in [STATE_FIRST, DATA_FIRST] {
            assert_found(
                &format!("{sets} {check}"),
                &format!("(global.set $state (i32.const 0)) {check}"),
            );
            // The parameter in place of the global.
            let own = check.replace("(global.get $data)", "(local.get 0)");
            assert_found(
                &format!("{sets} {own}"),
                &format!("(global.set $state (i32.const 0)) {check}"),
            );
        }
    }
}

#[test]
fn they_may_share_what_they_do() {
    assert_found(
        "(call $shared (local.get 0) STATE)",
        &format!("(global.set $state (i32.const 0)) (call $check)) {SHARED} (func"),
    );
}

#[test]
fn what_does_something_else_is_none_of_them() {
    const START: &str = "(global.set $state STATE) (global.set $data (local.get 0))";
    const STOP: &str = "(global.set $state (i32.const 0))";
    for check in [
        // It traps where it should not, or nowhere, or whatever it finds.
        "(if (i32.lt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable)))",
        "(drop (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))))",
        "(unreachable)",
        "(if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable))) (unreachable)",
        // It compares something else.
        "(if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=8 (global.get $data))) (then (unreachable)))",
        "(if (i32.gt_u (i32.load (global.get $state)) (i32.load offset=4 (global.get $state))) (then (unreachable)))",
        "(if (i32.gt_u (global.get $data) (i32.const 4)) (then (unreachable)))",
        // It does more.
        "(i32.store (i32.const 0) (i32.const 1)) (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable)))",
        "(loop (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then (unreachable))))",
        "",
    ] {
        let wat = module(&format!("{START} {check}"), &format!("{STOP} {check}"), MINIFIED);
        assert!(findings(&wat).asyncify().is_none(), "{wat}");
    }
    for start in [
        "(global.set $state (i32.const 3)) (global.set $data (local.get 0))",
        "(global.set $state STATE) (global.set $data (i32.const 64))",
        "(global.set $data (local.get 0))",
    ] {
        let check = CHECKS[0];
        let wat = module(&format!("{start} {check}"), check, MINIFIED);
        assert!(findings(&wat).asyncify().is_none(), "{wat}");
    }
}

/// What calls itself, or calls much, is given up early.
#[test]
fn a_body_is_not_followed_for_ever() {
    let many = |callee: &str| format!("(call {callee})").repeat(40);
    let wat = format!(
        r#"(module {GLOBALS} (func $self (export "self") (call $self))
        (func (export "a") {}) (func $b {}) (func $c {}) (func $d))"#,
        many("$b"),
        many("$c"),
        many("$d")
    );
    assert!(findings(&wat).asyncify().is_none());
}
