//! Functions that a linker brings, and that block on the runtime of tokio they are polled in, as
//! the synchronous ones of `wasmtime-wasi` do.

use std::future::{Future, poll_fn};

use asyncify_rt::{Guest, Module};
use tokio::runtime::{Builder, Handle};
use tokio::task::block_in_place;
use wasmtime::Engine;

const WRITES: &str = r#"(module (import "wasi" "write" (func $write (result i32)))
    (func (export "run") (result i32) call $write))"#;

fn write() -> i32 {
    Handle::current().block_on(async {
        tokio::task::yield_now().await;
        7
    })
}

#[test]
fn a_call_that_is_polled_where_it_may_block_reaches_them() {
    let module = Module::new(&Engine::default(), WRITES).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let make = || {
            let builder = Guest::builder(&module);
            builder.link(|linker| linker.func_wrap("wasi", "write", write).map(drop)).instantiate()
        };
        let guest = make().await.unwrap();
        let run = guest.all_exports().typed::<(), (i32,)>("run").unwrap();
        assert!(tokio::spawn(run.call(())).await.unwrap_err().is_panic());

        let guest = make().await.unwrap();
        let run = guest.all_exports().typed::<(), (i32,)>("run").unwrap();
        let mut call = Box::pin(run.call(()));
        let polled = poll_fn(move |cx| block_in_place(|| call.as_mut().poll(cx)));
        assert_eq!(tokio::spawn(polled).await.unwrap().unwrap(), (7,));
    });
}
