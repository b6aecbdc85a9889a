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
    let minified = |functions: &str| {
        stack_pointer(&format!(
            r#"{globals} (func (export "x") (result i32) global.get $a)
               (func (export "y") (param i32) (global.set $a (local.get 0)))
               (func (export "z") (result i32) global.get $b) {functions}"#
        ))
    };
    // Two globals are used as a stack pointer is, and one of them is moved from outside.
    let both = minified(&[framed("$a"), framed("$b")].concat());
    assert_eq!(both.export(), Some("asyncify:global:0"));
    // Any pair of a getter and a setter moves a global.
    assert!(matches!(minified(""), StackPointer::Uncertain { .. }));
}

/// A function that keeps a frame of 16 bytes below `global`.
fn framed(global: &str) -> String {
    format!(
        "(func (local $f i32)
           (global.set {global} (local.tee $f (i32.sub (global.get {global}) (i32.const 16))))
           (i32.store (local.get $f) (i32.const 1))
           (global.set {global} (i32.add (local.get $f) (i32.const 16))))"
    )
}

#[test]
fn without_a_candidate_there_is_no_shadow_stack() {
    for fields in [
        "",
        "(memory 2)",
        "(memory 2) (global (mut i32) (i32.const 0)) (global (mut i32) (i32.const 9)) (global i32 (i32.const 64))",
        "(memory 2) (global (mut i32) (i32.const 131088)) (global (mut i64) (i64.const 64))",
        // No code ever writes it.
        r#"(memory 2) (global $a (export "a") (mut i32) (i32.const 1024)) (func (drop (global.get $a)))"#,
        // Counters, from 0.
        "(memory 2) (global $a (mut i32) (i32.const 0)) (func (global.set $a (i32.sub (global.get $a) (i32.const 1))))",
        "(memory 2) (global $a (mut i32) (i32.const 0)) (func (param i32) (global.set $a (i32.add (global.get $a) (local.get 0))))",
        "(memory 2) (global $a (mut i32) (i32.const 0)) (func (global.set $a (i32.add (global.get $a) (i32.const 1))))",
        // Bytes in use, as AssemblyScript's runtime counts them.
        "(memory 2) (global $a (mut i32) (i32.const 0))
         (func (param i32) (global.set $a (i32.add (global.get $a) (local.get 0))))
         (func (param i32) (global.set $a (i32.sub (global.get $a) (i32.and (local.get 0) (i32.const -4)))))",
    ] {
        assert_eq!(stack_pointer(fields), StackPointer::Absent, "{fields}");
    }
}

#[test]
fn what_is_not_certain_is_not_guessed() {
    for (fields, listed) in [
        (
            "(memory 2) (global $a (mut i32) (i32.const 64)) (global $b (mut i32) (i32.const 96))
             (func (global.set $a (i32.const 1)) (global.set $b (i32.const 1)))",
            "(`b`)",
        ),
        (
            r#"(import "e" "x" (global (mut i32))) (memory 2) (func (global.set 0 (i32.const 7)))"#,
            "(`x`)",
        ),
        // A heap's end, which only grows.
        (
            "(memory 2) (global (mut i32) (i32.const 1024))
             (func (param i32) (global.set 0 (i32.add (local.get 0) (global.get 0))))",
            "0x400",
        ),
        // Lowered, and it starts at 0 only because it is set later: by the guest, or by the host.
        (
            "(memory 2) (global $a (mut i32) (i32.const 0))
             (func (param i32) (global.set $a (i32.add (global.get $a) (local.get 0))))
             (func (param i32) (global.set $a (i32.sub (global.get $a) (i32.and (local.get 0) (i32.const -4)))))
             (func (param i32) (global.set $a (local.get 0)) (global.set $a (i32.const 4096)))",
            "0x0",
        ),
        (
            r#"(memory 2) (global $a (export "a") (mut i32) (i32.const 0))
             (func (param i32) (global.set $a (i32.add (global.get $a) (local.get 0))))
             (func (param i32) (global.set $a (i32.sub (global.get $a) (i32.and (local.get 0) (i32.const -4)))))"#,
            "0x0",
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

/// What a global that starts at 65536 is, by the functions `code`; `global.get $g` and
/// `global.set $g` are written `GET` and `SET`.
fn by_use(code: &str) -> StackPointer {
    let code = code.replace("GET", "(global.get $g)").replace("SET", "global.set $g");
    stack_pointer(&format!("(memory 2) (global $g (mut i32) (i32.const 65536)) {code}"))
}

/// The shapes that compilers give to a function that keeps a frame.
const FRAMES: [(&str, &str); 12] = [
    (
        "optimized",
        "(func (local $f i32) (SET (local.tee $f (i32.sub GET (i32.const 32))))
           (i32.store offset=12 (local.get $f) (i32.const 1))
           (SET (i32.add (local.get $f) (i32.const 32))))",
    ),
    (
        "not optimized: each value in a local of its own",
        "(func (local $1 i32) (local $2 i32) (local $3 i32) (local $4 i32) (local $5 i32)
           (local.set $1 GET) (local.set $2 (i32.const 32))
           (local.set $3 (i32.sub (local.get $1) (local.get $2))) (SET (local.get $3))
           (i32.store offset=12 (local.get $3) (i32.const 1))
           (block $b (br_if $b (i32.load offset=12 (local.get $3))) (nop))
           (local.set $4 (i32.const 32)) (local.set $5 (i32.add (local.get $3) (local.get $4)))
           (SET (local.get $5)))",
    ),
    (
        "a negative constant added",
        "(func (local $f i32) (SET (local.tee $f (i32.add GET (i32.const -32))))
           (call $use (local.get $f)) (SET (i32.sub (local.get $f) (i32.const -32))))",
    ),
    (
        "aligned, with what was before kept",
        "(func (local $f i32) (local $old i32) (local.set $old GET)
           (SET (local.tee $f (i32.and (i32.sub (local.get $old) (i32.const 96)) (i32.const -64))))
           (i32.store (local.get $f) (i32.const 1)) (SET (local.get $old)))",
    ),
    (
        "an array of variable length",
        "(func (param $n i32) (local $f i32) (local $a i32)
           (SET (local.tee $f (i32.sub GET (i32.const 16))))
           (SET (local.tee $a (i32.sub (local.get $f)
             (i32.and (i32.add (i32.shl (local.get $n) (i32.const 2)) (i32.const 15)) (i32.const -16)))))
           (i32.store (local.get $a) (i32.const 1)) (SET (i32.add (local.get $f) (i32.const 16))))",
    ),
    (
        "a restored value that was kept in memory",
        "(func (local $f i32) (SET (local.tee $f (i32.sub GET (i32.const 16))))
           (i32.store offset=8 (local.get $f) GET)
           (SET (i32.load offset=8 (local.get $f)))
           (SET (i32.add (local.get $f) (i32.const 16))))",
    ),
    (
        "instrumented: the frame is reloaded where it is rewound",
        "(func (local $f i32)
           (if (global.get $state)
             (then (local.set $f (i32.load (global.get $data))))
             (else (SET (local.tee $f (i32.sub GET (i32.const 16))))))
           (i32.store (local.get $f) (i32.const 1))
           (if (i32.eqz (global.get $state)) (then (SET (i32.add (local.get $f) (i32.const 16))))))",
    ),
    (
        "instrumented and optimized: either, by select",
        "(func (local $f i32)
           (local.set $f (i32.load (global.get $data)))
           (local.set $f (select (local.get $f) (i32.sub GET (i32.const 16)) (global.get $state)))
           (if (i32.eqz (global.get $state)) (then (SET (local.get $f))))
           (i32.store (local.get $f) (i32.const 1))
           (SET (i32.add (local.get $f) (i32.const 16))))",
    ),
    (
        "the frame is a block's result",
        "(func (param $x i32) (local $f i32)
           (SET (local.tee $f (if (result i32) (local.get $x)
             (then (i32.sub GET (i32.const 16))) (else (i32.sub GET (i32.const 64))))))
           (i32.store (local.get $f) (i32.const 1))
           (SET (i32.add (local.get $f) (i32.const 16))))",
    ),
    (
        "what was passed to a function that returns it, as `memset` does",
        "(func (local $f i32) (SET (local.tee $f (i32.sub GET (i32.const 32))))
           (local.set $f (call $same (local.get $f))) (SET (i32.add (local.get $f) (i32.const 32))))",
    ),
    (
        "locals that come to hold addresses one after the other, in a loop",
        "(func (local $f i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32)
           (SET (local.tee $f (i32.sub GET (i32.const 32))))
           (loop $l
             (drop (i32.load (local.get $e)))
             (local.set $e (local.get $d)) (local.set $d (local.get $c))
             (local.set $c (local.get $b)) (local.set $b (local.get $a))
             (local.set $a (i32.add (local.get $f) (i32.const 4)))
             (br_if $l (local.get $e)))
           (SET (i32.add (local.get $f) (i32.const 32))))",
    ),
    (
        "a loop that uses a local before it is set in the code",
        "(func (local $f i32) (local $old i32) (local.set $old GET)
           (loop $l
             (if (local.get $f) (then (SET (local.tee $f (i32.sub (local.get $f) (i32.const 16))))
               (i32.store (local.get $f) (i32.const 1))))
             (local.set $f (local.get $old))
             (br_if $l (i32.load (local.get $f))))
           (SET (local.get $old)))",
    ),
];

/// Functions that say nothing for themselves, beside one that keeps a frame.
const NEUTRAL: [(&str, &str); 6] = [
    (
        "a panic",
        "(func (param i32) (SET (i32.sub GET (i32.const 48))) (call $use GET) unreachable)",
    ),
    ("a setter", "(func (param i32) (SET (local.get 0)))"),
    ("a getter", "(func (result i32) GET)"),
    (
        "room for a caller",
        "(func (param $n i32) (result i32)
           (SET (i32.and (i32.sub GET (local.get $n)) (i32.const -16))) GET)",
    ),
    (
        "a loop for ever",
        "(func (SET (i32.sub GET (i32.const 16))) (loop $l (call $use GET) (br $l)))",
    ),
    (
        "what it was",
        "(func (local i32) (local.set 0 GET) (call $use (local.get 0)) (SET (local.get 0)))",
    ),
];

/// What is not done with a stack pointer.
const MISUSED: [(&str, &str); 9] = [
    ("taken from", "(func (param i32) (SET (i32.sub GET (local.get 0))))"),
    ("mixed", "(func (param i32) (SET (i32.xor GET (local.get 0))))"),
    ("a heap that grows", "(func (param i32) (result i32) GET (SET (i32.add GET (local.get 0))))"),
    (
        "a heap that grows by a constant",
        "(func (result i32) GET (SET (i32.add GET (i32.const 16))))",
    ),
    ("a heap that grows down", "(func (result i32) (SET (i32.sub GET (i32.const 16))) GET)"),
    ("another value", "(func (param i32) (SET (i32.mul (local.get 0) (i32.const 3))))"),
    ("a constant", "(func (SET (i32.const 4096)))"),
    ("from memory", "(func (param i32) (SET (i32.load (local.get 0))) (call $use (local.get 0)))"),
    ("a countdown", "(func (SET (i32.sub GET (i32.const 1))))"),
];

const AROUND: &str =
    "(global $state (mut i32) (i32.const 0)) (global $data (mut i32) (i32.const 0))
    (func $use (param i32)) (func $same (param i32) (result i32) local.get 0)";

#[test]
fn a_stack_pointer_is_found_by_what_functions_do_with_it() {
    for (shape, frame) in FRAMES {
        let found = by_use(&format!("{AROUND} {frame}"));
        let StackPointer::Found { by: FoundBy::Use { functions: 1 }, .. } = &found else {
            panic!("{shape}: {found}")
        };
        for (other, function) in NEUTRAL {
            let found = by_use(&format!("{AROUND} {frame} {function}"));
            assert!(matches!(found, StackPointer::Found { .. }), "{shape}, {other}: {found}");
        }
        for (other, function) in MISUSED {
            let found = by_use(&format!("{AROUND} {frame} {function}"));
            assert!(matches!(found, StackPointer::Uncertain { .. }), "{shape}, {other}: {found}");
        }
    }
}

#[test]
fn a_global_that_nothing_speaks_for_is_uncertain() {
    for (what, function) in
        NEUTRAL.into_iter().chain(MISUSED).filter(|(what, _)| *what != "a getter")
    {
        let found = by_use(&format!("{AROUND} {function}"));
        assert!(matches!(found, StackPointer::Uncertain { .. }), "{what}: {found}");
    }
    let budget = by_use(
        r#"(func $spend (param i32) (result i32) (SET (i32.sub GET (local.get 0))) GET)
           (func (export "run") (param i32) (result i32) (call $spend (local.get 0)))"#,
    );
    let reason =
        "it may be global 0 (`g`), which starts at 0x10000 and is written as no stack pointer is";
    assert_eq!(budget, StackPointer::Uncertain { reason: reason.to_owned() });
}

/// A budget that a recursion takes from and gives back is no address.
#[test]
fn a_frame_that_is_never_used_speaks_for_nothing() {
    let found = by_use(
        "(func $f (SET (i32.sub GET (i32.const 16))) (call $f) (SET (i32.add GET (i32.const 16))))",
    );
    assert!(matches!(found, StackPointer::Uncertain { .. }), "{found}");
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
