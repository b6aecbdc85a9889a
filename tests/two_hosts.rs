//! Hosts that are offered one beside the other, each in a list of its own.

use asyncify::wasmtime::Engine;
use asyncify::{AsyncImports, Guest, Module};
use futures::executor::block_on;

const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/yielding.wasm");

struct Yields;

#[asyncify::imports(module = "env")]
impl Yields {
    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }
}

struct Pauses(u32);

#[asyncify::imports(module = "env")]
impl Pauses {
    async fn pause(&self) -> u32 {
        tokio::task::yield_now().await;
        self.0
    }
}

#[asyncify::exports]
trait App {
    async fn spin(&self, n: u32) -> u32;
    async fn frames(&self, n: u32) -> u32;
}

#[test]
fn calls_wait_in_imports_of_both_in_turns() {
    block_on(async {
        let module = Module::from_file(&Engine::default(), GUEST).unwrap();
        let mut pauses = AsyncImports::new();
        pauses.host(std::sync::Arc::new(Pauses(7)));
        let builder = Guest::builder(&module).imports(Yields).async_imports(pauses);
        let guest = builder.instantiate().await.unwrap();
        let app: AppExports = guest.exports().unwrap();
        for _ in 0..3 {
            let (spin, frames) = futures::join!(app.spin(3), app.frames(2));
            assert_eq!((spin.unwrap(), frames.unwrap()), (3, 9));
        }
        assert!(!guest.is_poisoned().await.unwrap());
    });
}
