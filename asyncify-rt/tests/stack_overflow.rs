//! A guest that recurses without end.

use asyncify_rt::{Error, Guest, Module};
use wasmtime::{Config, Engine, Trap};

#[test]
fn an_endless_recursion_is_named() {
    let mut config = Config::new();
    config.max_wasm_stack(64 << 10);
    let engine = Engine::new(&config).unwrap();
    let guest =
        r#"(module (func $down (export "down") (result i32) call $down i32.const 1 i32.add))"#;
    let module = Module::new(&engine, guest).unwrap();
    futures::executor::block_on(async {
        let guest = Guest::builder(&module).instantiate().await.unwrap();
        let down = guest.all_exports().typed::<(), (i32,)>("down").unwrap();
        let error = down.call(()).await.unwrap_err();
        assert!(matches!(&error, Error::StackOverflow { function, .. } if function == "down"));
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
        assert!(error.to_string().contains("max_wasm_stack"), "{error}");
        // As any trap of the guest.
        assert!(guest.is_poisoned().await.unwrap());

        guest.clear_poison().await.unwrap();
        let nested = guest.with(|cx| cx.call::<(), i32>("down", ())).await.unwrap();
        assert!(matches!(nested, Err(Error::StackOverflow { .. })));
        assert!(guest.is_poisoned().await.unwrap());
    });
}
