//! Guests that recurse: one without end, and several within each other.

mod common;

use std::task::Poll;

use asyncify_rt::{AsyncImports, Error, Guest, Module, Place};
use wasmtime::{Config, Engine, Trap, Val, ValType};

use common::{block_on, call, import, module, poll};

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

/// `deep(x)` recurses x times, and then awaits what `next` does.
const DEEP: &str = r#"
    (import "env" "next" (func $next (result i32))) (memory 1)
    (func $deep (export "deep") (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $x (call $pop))))
      (if (local.get $x)
        (then (local.set $answer (call $deep (i32.sub (local.get $x) (i32.const 1)))))
        (else (local.set $answer (call $next))))
      (if UNWINDING (then (call $push (local.get $x))))
      (local.get $answer))"#;

/// A guest whose `next` answers one more than the next guest's `deep(depth)`.
fn before(module: &Module, next: Option<Guest>, depth: i32) -> Guest {
    let mut imports = AsyncImports::new();
    let engine = module.wasmtime().engine();
    import(&mut imports, engine, "next", &[], &[ValType::I32], move |_| {
        let next = next.clone();
        async move {
            let answer = match next {
                Some(next) => call(&next, "deep", depth).await?.0 + 1,
                None => 1,
            };
            Ok(vec![Val::I32(answer)])
        }
    });
    let builder = Guest::builder(module).async_imports(imports).trust_instrumentation();
    block_on(builder.place(Place::Grow).instantiate()).unwrap()
}

/// Each takes nearly all of the stack that it may, which is a quarter of the thread's.
#[test]
fn guests_within_each_other_do_not_use_up_the_stack() {
    const GUESTS: i32 = 12;
    let chain = || {
        let module = module(&Engine::default(), DEEP);
        let fits = |depth: &i32| {
            matches!(poll(&mut call(&before(&module, None, 0), "deep", *depth)), Poll::Ready(Ok(_)))
        };
        let deepest = (1..1_000).map(|depth| 1_000 * depth).take_while(fits).last().unwrap();
        let last = (0..GUESTS).fold(None, |next, _| Some(before(&module, next, deepest)));
        assert_eq!(block_on(call(&last.unwrap(), "deep", deepest)).unwrap(), (GUESTS,));
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(chain);
    thread.unwrap().join().unwrap();
}
