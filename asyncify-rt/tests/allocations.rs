//! What is allocated on the paths that run most often: nothing for an import and for a call that
//! must not suspend, one box for any other.

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use asyncify_rt::private::{Direct, ParamInfo, Ref, Val};
use asyncify_rt::{
    AsyncImports, Guest, ImportInfo, Imports, Module, StackPolicy, TypedAsyncFunction,
};
use wasmtime::Engine;

struct Host;

#[derive(Default)]
struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

const X: &[ParamInfo] = &[ParamInfo::val::<u32>("x", "u32")];
const TEXT_X: &[ParamInfo] =
    &[ParamInfo::by_ref::<str>("text", "&str"), ParamInfo::val::<u32>("x", "u32")];

const fn info(name: &'static str, suspending: bool, params: &'static [ParamInfo]) -> ImportInfo {
    ImportInfo::new::<Direct, u32>("env", name, suspending, params, "u32", "")
}

const PLAIN: ImportInfo = info("plain", false, X);
const TEXT: ImportInfo = info("text", false, TEXT_X);
const READY: ImportInfo = info("ready", true, X);
const PAUSE: ImportInfo = info("pause", true, X);

impl Imports for Host {
    const IMPORTS: &'static [ImportInfo] = &[PLAIN, TEXT, READY, PAUSE];

    fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>) {
        imports.plain::<(Val<u32>, ()), Direct, u32, _, _>(&PLAIN, &host, |_, (x, ())| x + 1);
        imports.plain::<(Ref<str>, (Val<u32>, ())), Direct, u32, _, _>(
            &TEXT,
            &host,
            |_, (text, (x, ()))| x + u32::from(text.len() == 32),
        );
        imports.suspending::<(Val<u32>, ()), Direct, u32, _, _, _>(
            &READY,
            &host,
            |host, (x, ())| async move { (host, x + 1, ((), ())) },
        );
        imports.suspending::<(Val<u32>, ()), Direct, u32, _, _, _>(
            &PAUSE,
            &host,
            |host, (x, ())| async move {
                YieldOnce::default().await;
                (host, x + 1, ((), ()))
            },
        );
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

fn guest(policy: StackPolicy) -> Guest {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests/bench.wasm");
    let module = Module::from_file(&Engine::default(), path).unwrap();
    let builder = Guest::builder(&module).imports(Host).stack_policy(policy);
    run(builder.trap_unknown_imports().instantiate()).unwrap()
}

fn one(guest: &Guest, name: &str) -> TypedAsyncFunction<(u32,), (u32,)> {
    guest.all_exports().typed(name).unwrap()
}

/// Allocations of one call with this argument, which is also its answer.
fn of_call(function: &TypedAsyncFunction<(u32,), (u32,)>, n: u32) -> u64 {
    let counted = measure(|| assert_eq!(run(function.call((n,))).unwrap(), (n,)));
    assert_eq!(counted.count_current, 0, "what a call allocates it frees");
    counted.count_total
}

#[test]
fn a_call_of_an_export_is_one_box() {
    let guest = guest(StackPolicy::Separate);
    let echo = one(&guest, "echo");
    run(echo.call((1,))).unwrap();
    assert_eq!(of_call(&echo, 2), 1);
}

#[test]
fn a_call_that_must_not_suspend_allocates_nothing() {
    let guest = guest(StackPolicy::Separate);
    let echo = one(&guest, "echo");
    run(echo.call_plain((1,))).unwrap();
    let counted = measure(|| assert_eq!(run(echo.call_plain((2,))).unwrap(), (2,)));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn imports_that_answer_at_once_allocate_nothing() {
    let guest = guest(StackPolicy::Separate);
    for name in ["plain", "text", "ready"] {
        let function = one(&guest, name);
        // The first makes what is kept for the others.
        run(function.call((1,))).unwrap();
        assert_eq!(of_call(&function, 1_000), 1, "{name}: the box of the call alone");
    }
}

#[test]
fn a_call_that_parks_again_allocates_nothing() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let guest = guest(policy);
        let spin = guest.all_exports().typed::<(u32, u32), (u32,)>("spin").unwrap();
        let of =
            |n: u32| measure(|| assert_eq!(run(spin.call((3, n))).unwrap(), (n + 3,))).count_total;
        of(2);
        assert_eq!(of(1_000), of(1), "{policy:?}");
        assert!(of(1) <= 2, "the call's box and its frames");
    }
}
