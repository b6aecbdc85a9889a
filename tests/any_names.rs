//! Names that wasm has and Rust has not: empty ones, and ones with dots and commas.

#![allow(clippy::unused_async, clippy::unused_self, reason = "the hosts do next to nothing")]

use std::sync::atomic::{AtomicU32, Ordering};

use asyncify::testing::Mock;
use asyncify::wasmtime::Engine;
use asyncify::{Error, Guest, Module};
use futures::executor::block_on;

/// As `wasm-opt --asyncify --pass-arg=asyncify-imports@.` leaves a function that keeps a number over
/// `pause`: the import of the empty name from the module of the empty name.
const GUEST: &str = r#"(module
    (import "" "next" (func $next (result i32)))
    (import "" "" (func $pause))
    (memory 1)
    (global $state (mut i32) (i32.const 0)) (global $data (mut i32) (i32.const 0))
    (func (export "") (result i32 i32) (local $first i32)
      (if (i32.eq (global.get $state) (i32.const 2)) (then
        (i32.store (global.get $data) (i32.sub (i32.load (global.get $data)) (i32.const 4)))
        (local.set $first (i32.load (i32.load (global.get $data)))))
      (else (local.set $first (call $next))))
      (call $pause)
      (if (i32.eq (global.get $state) (i32.const 1)) (then
        (i32.store (i32.load (global.get $data)) (local.get $first))
        (i32.store (global.get $data) (i32.add (i32.load (global.get $data)) (i32.const 4)))
        (return (i32.const 0) (i32.const 0))))
      (local.get $first) (call $next))
    (func (export "asyncify_start_unwind") (param i32)
      (global.set $state (i32.const 1)) (global.set $data (local.get 0)) CHECK)
    (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)) CHECK)
    (func (export "asyncify_start_rewind") (param i32)
      (global.set $state (i32.const 2)) (global.set $data (local.get 0)) CHECK)
    (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)) CHECK)
    (func (export "asyncify_get_state") (result i32) (global.get $state)))"#;

/// What each of Asyncify's functions ends with.
const CHECK: &str = "(if (i32.gt_u (i32.load (global.get $data))
    (i32.load offset=4 (global.get $data))) (then unreachable))";

struct Nameless(AtomicU32);

#[asyncify::imports(module = "")]
impl Nameless {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    #[asyncify(name = "")]
    async fn pause(&self) {
        tokio::task::yield_now().await;
    }
}

#[asyncify::exports]
trait App {
    #[asyncify(name = "")]
    async fn run(&self) -> (u32, u32);
}

#[test]
fn a_guest_imports_and_exports_the_empty_name() {
    block_on(async {
        assert_eq!(Nameless::wasm_opt_args(), "--pass-arg=asyncify-imports@.");
        let host = Nameless(AtomicU32::new(5));
        let module = Module::new(&Engine::default(), GUEST.replace("CHECK", CHECK)).unwrap();
        let guest = Guest::builder(&module).imports(host).instantiate().await.unwrap();
        let app: AppExports = guest.exports().unwrap();
        assert_eq!(app.run().await.unwrap(), (5, 6));
        assert_eq!(guest.stats().await.unwrap().suspensions, 1);
    });
}

struct Dotted;

#[asyncify::imports(module = "a")]
impl Dotted {
    #[asyncify(name = "b.c")]
    fn first(&self) -> u32 {
        1
    }

    #[asyncify(module = "a.b", name = "c")]
    async fn second(&self) -> u32 {
        tokio::task::yield_now().await;
        2
    }

    #[asyncify(module = "", name = "")]
    fn text(&self, text: &str) -> u32 {
        u32::try_from(text.len()).unwrap()
    }

    #[asyncify(module = "a\\", name = "b.c")]
    fn third(&self) -> u32 {
        3
    }

    #[asyncify(module = ",@\0\n", name = "日本 \u{202e}")]
    async fn fourth(&self) -> u32 {
        4
    }
}

#[test]
fn imports_whose_names_differ_by_a_dot_are_two() {
    block_on(async {
        let mock = Mock::new(Dotted).await.unwrap();
        for (module, name, answer) in
            [("a", "b.c", 1), ("a.b", "c", 2), ("a\\", "b.c", 3), (",@\0\n", "日本 \u{202e}", 4)]
        {
            assert_eq!(mock.call::<_, u32>(module, name, ()).await.unwrap(), answer);
        }
        let text = mock.place("four").unwrap();
        assert_eq!(mock.call::<_, u32>("", "", text).await.unwrap(), 4);
        let error = mock.call::<_, u32>("", "", (u32::MAX, 1)).await.unwrap_err();
        let Error::BadPointer { function, parameter, .. } = &error else { panic!("{error}") };
        assert_eq!((&**function, &**parameter), (".", "text"));
    });
}
