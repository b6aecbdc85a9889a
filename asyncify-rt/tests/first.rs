//! x
use asyncify_rt::*;
use std::task::Poll;
use wasmtime::{Engine, FuncType, Val, ValType};

async fn yield_now() {
    let mut y = false;
    std::future::poll_fn(|cx| {
        if y {
            Poll::Ready(())
        } else {
            y = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn guest(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests").join(name)
}

#[test]
fn stack() {
    let engine = Engine::default();
    let module = Module::from_file(&engine, guest("stack.wasm")).unwrap();
    println!("{:?}", module.findings());
    let mut imports = AsyncImports::<()>::new();
    imports.define(
        "env",
        "wait",
        FuncType::new(&engine, [ValType::I32], [ValType::I32]),
        |_, p| {
            let t = p[0].unwrap_i32();
            Ok(ImportResult::wait(async move {
                yield_now().await;
                Ok(vec![Val::I32(t.wrapping_mul(3).wrapping_add(1))])
            }))
        },
    );
    futures::executor::block_on(async {
        let g = Guest::builder(&module).async_imports(imports).instantiate().await.unwrap();
        let e = g.all_exports();
        let sum = e.typed::<(u32, u32), (u32,)>("sum").unwrap();
        let exp = e.typed::<(u32, u32), (u32,)>("expected").unwrap();
        let want = exp.call((7, 5)).await.unwrap();
        assert_eq!(want.0, 2124151212);
        let r = futures::join!(sum.call((7, 5)), sum.call((1, 1)), sum.call((7, 5)));
        println!("{r:?} {:?}", g.stats().await);
        assert_eq!(r.0.unwrap(), want);
        assert_eq!(r.1.unwrap().0, 3828398704);
        assert_eq!(r.2.unwrap(), want);
    });
}
