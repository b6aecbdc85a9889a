//! Modules with more imports or exports than anybody writes: the time grows with their number, and
//! not faster.

use std::time::{Duration, Instant};

use asyncify_rt::{Error, Guest, Module};
use futures::executor::block_on;
use wasmtime::Engine;

use super::refused;

/// Names are compared with those of the host's functions: all that are long, or many, would take
/// minutes.
#[test]
fn many_imports_that_nobody_defines_are_told_at_once() {
    let engine = Engine::default();
    let start = Instant::now();
    for (many, length) in [(20_000, 11), (100, 20_000)] {
        let import = |number| format!(r#"(import "env" "{number:a>length$}" (func))"#);
        let module = format!("(module {})", (0..many).map(import).collect::<String>());
        let module = Module::new(&engine, module).unwrap();
        let builder = Guest::builder(&module).link(|linker| {
            (0..40).try_for_each(|number| {
                linker.func_wrap("env", &format!("function_{number}"), || {}).map(drop)
            })
        });
        let Err(Error::Imports(mismatches)) = block_on(builder.instantiate()) else {
            panic!("they are defined");
        };
        assert_eq!(mismatches.len(), many);
    }
    assert!(start.elapsed() < Duration::from_mins(5), "{:?}", start.elapsed());
}

/// What is looked up once for each export takes hours where it is looked up in a list.
#[test]
fn many_exports_take_no_longer_each() {
    const MANY: usize = 60_000;
    let start = Instant::now();
    let export = |of, number| format!(r#"(export "{number}" (func ${of}))"#);
    let exports = |of| (0..MANY).map(|number| export(of, number)).collect::<Vec<_>>().concat();
    let begins = "(func $begin (param i32)
        (global.set $state (i32.const 1)) (global.set $data (local.get 0))
        (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))
          (then unreachable)))
        (global $state (mut i32) (i32.const 0)) (global $data (mut i32) (i32.const 0))";
    let half = format!("(module (memory 1) {begins} {})", exports("begin"));
    assert!(matches!(refused(&half), Error::MissingAsyncifyExport { .. }));

    let globals = "(global (mut i32) (i32.const 0))".repeat(MANY);
    let wide = format!("(module (func $f) {globals} {})", exports("f"));
    let module = Module::new(&Engine::default(), wide).unwrap();
    let guest = block_on(Guest::builder(&module).instantiate()).unwrap();
    assert_eq!(guest.all_exports().iter().count(), MANY);
    assert!(start.elapsed() < Duration::from_mins(5), "{:?}", start.elapsed());
}
