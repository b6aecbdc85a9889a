//! A guest whose calls suspend through `#[asyncify(trampoline)]`, with the attributes.

use std::path::Path;

use asyncify::wasmtime::Engine;
use asyncify::{Guest, GuestCx, Module, Trap, WeakGuest};

#[derive(Default)]
struct Host {
    guest: std::sync::OnceLock<WeakGuest>,
}

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&self, tag: u32) -> u32 {
        tokio::task::yield_now().await;
        tag * 3 + 1
    }

    async fn again(&self, x: u32) -> Result<u32, Trap> {
        let guest = self.guest.get().ok_or_else(|| Trap::new("there is no guest yet"))?;
        let app: AppExports = guest.upgrade()?.exports()?;
        Ok(app.ask(x).await?)
    }

    #[asyncify(trampoline)]
    fn invoke_ii<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        entry: u32,
        x: u32,
    ) -> Result<u32, Trap> {
        Ok(cx.call_table("table", entry, x)?)
    }

    #[asyncify(trampoline)]
    fn try_ii<T: Send + 'static>(cx: &mut GuestCx<'_, T>, entry: u32, x: u32) -> u32 {
        cx.call_table("table", entry, x).unwrap_or(u32::MAX)
    }

    fn call_ii<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        entry: u32,
        x: u32,
    ) -> Result<u32, Trap> {
        Ok(cx.call_table("table", entry, x)?)
    }
}

#[asyncify::exports]
trait App {
    async fn ask(&self, x: u32) -> u32;
    async fn nested(&self, depth: u32) -> u32;
    async fn reenter(&self, x: u32) -> u32;
    async fn outside(&self, x: u32) -> u32;
    async fn alternate(&self, x: u32) -> u32;
}

#[tokio::test]
async fn trampolines_and_calls_from_within() {
    assert_eq!(
        Host::wasm_opt_args(),
        "--pass-arg=asyncify-imports@env.wait,env.again,env.invoke_ii,env.try_ii"
    );
    assert_eq!(Host::IMPORTS.iter().filter(|import| import.suspending).count(), 4);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/guests/trampoline.wasm");
    let module = Module::from_file(&Engine::default(), path).unwrap();
    let host = std::sync::Arc::new(Host::default());
    let builder = Guest::builder(&module).shared_imports(std::sync::Arc::clone(&host));
    let guest = builder.instantiate().await.unwrap();
    host.guest.set(guest.downgrade()).unwrap();
    let app: AppExports = guest.exports().unwrap();
    let (nested, reentered, alternated) =
        tokio::join!(app.nested(10), app.reenter(7), app.alternate(3));
    assert_eq!(nested.unwrap(), 16 + 55);
    assert_eq!(reentered.unwrap(), 22 + 7 + 7);
    assert_eq!(alternated.unwrap(), 6);
    let error = app.outside(1).await.unwrap_err();
    assert!(matches!(error, asyncify::Error::HostFrame { .. }), "{error}");
}
