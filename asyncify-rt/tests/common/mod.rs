//! What the tests share: guests written by hand, a host that answers when it is told to, and
//! executors that can be nested or driven poll by poll.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use asyncify_rt::{AsyncImports, Call, Error, Guest, ImportResult, Module, Trap};
use wasmtime::{Engine, FuncType, Val, ValType};

/// Asserts an error's variant and its whole text.
macro_rules! assert_error {
    ($error:expr, $pattern:pat $(if $guard:expr)?, $text:expr) => {{
        let error: asyncify_rt::Error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert_eq!(error.to_string(), $text);
    }};
}
pub(crate) use assert_error;

/// Polls on this thread, and waits between. It may be nested, unlike `futures::executor::block_on`.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark {
        woken: AtomicBool,
        thread: Thread,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.woken.store(true, Ordering::SeqCst);
            self.thread.unpark();
        }
    }
    let unpark = Arc::new(Unpark { woken: AtomicBool::new(false), thread: std::thread::current() });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !unpark.woken.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (Arc::clone(&wakes), wakes.into())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

/// Polls a call that must park.
pub(crate) fn park<R: std::fmt::Debug>(call: &mut Call<R>) {
    match poll(call) {
        Poll::Pending => {}
        Poll::Ready(ended) => panic!("it did not park: {ended:?}"),
    }
}

/// Polls a call that must fail.
pub(crate) fn fails<R: std::fmt::Debug>(
    call: &mut (impl Future<Output = asyncify_rt::Result<R>> + Unpin),
) -> Error {
    match poll(call) {
        Poll::Ready(Err(error)) => error,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// Polls a call that must end well.
pub(crate) fn ends<R: std::fmt::Debug>(call: &mut Call<R>) -> R {
    match poll(call) {
        Poll::Ready(Ok(value)) => value,
        other => panic!("it did not end: {other:?}"),
    }
}

/// Is pending once, and wakes at once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the guests' `wait` answers.
pub(crate) fn answer(tag: i32) -> i32 {
    tag.wrapping_mul(3).wrapping_add(1)
}

/// A host whose answers are given by the test: `wait(tag)` is ready when `tag` was answered.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    answered: HashMap<i32, usize>,
    wakers: Vec<Waker>,
    asked: Vec<i32>,
    polls: usize,
    dropped: usize,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets one wait for `tag` end.
    pub(crate) fn answer(&self, tag: i32) {
        let wakers = {
            let mut open = self.0.lock().unwrap();
            *open.answered.entry(tag).or_default() += 1;
            std::mem::take(&mut open.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The tags that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<i32> {
        self.0.lock().unwrap().asked.clone()
    }

    /// How often a wait was polled.
    pub(crate) fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }

    /// How many waits were dropped before they were answered.
    pub(crate) fn dropped(&self) -> usize {
        self.0.lock().unwrap().dropped
    }

    /// Waits for an answer to `tag`.
    pub(crate) fn wait(&self, tag: i32) -> impl Future<Output = i32> + Send + use<> {
        struct Unanswered(Option<Desk>);
        impl Drop for Unanswered {
            fn drop(&mut self) {
                if let Some(desk) = self.0.take() {
                    desk.0.lock().unwrap().dropped += 1;
                }
            }
        }
        let desk = self.clone();
        desk.0.lock().unwrap().asked.push(tag);
        let mut unanswered = Unanswered(Some(self.clone()));
        poll_fn(move |cx| {
            // The whole of it is captured, not its field.
            let unanswered = &mut unanswered;
            let mut open = desk.0.lock().unwrap();
            open.polls += 1;
            if let Some(left) = open.answered.get_mut(&tag)
                && *left > 0
            {
                *left -= 1;
                unanswered.0 = None;
                return Poll::Ready(answer(tag));
            }
            open.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    /// `env.wait: (i32) -> (i32)`, answered here.
    pub(crate) fn imports(&self, engine: &Engine) -> AsyncImports<()> {
        let mut imports = AsyncImports::new();
        self.define(&mut imports, engine, "wait");
        imports
    }

    /// `env.<name>: (i32) -> (i32)`, answered here.
    pub(crate) fn define(&self, imports: &mut AsyncImports<()>, engine: &Engine, name: &str) {
        let desk = self.clone();
        import(imports, engine, name, &[ValType::I32], &[ValType::I32], move |params| {
            let waiting = desk.wait(params[0].unwrap_i32());
            async move { Ok(vec![Val::I32(waiting.await)]) }
        });
    }
}

/// Defines `env.<name>` as an import that may suspend.
pub(crate) fn import<F, Fut>(
    imports: &mut AsyncImports<()>,
    engine: &Engine,
    name: &str,
    params: &[ValType],
    results: &[ValType],
    body: F,
) where
    F: Fn(Vec<Val>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Val>, Trap>> + Send + 'static,
{
    let ty = FuncType::new(engine, params.iter().cloned(), results.iter().cloned());
    imports.define("env", name, ty, move |_, params| Ok(ImportResult::wait(body(params.to_vec()))));
}

/// `env.wait`, which answers after so many yields.
pub(crate) fn yielding_wait(engine: &Engine, yields: u32) -> AsyncImports<()> {
    let mut imports = AsyncImports::new();
    import(&mut imports, engine, "wait", &[ValType::I32], &[ValType::I32], move |params| {
        let tag = params[0].unwrap_i32();
        async move {
            for _ in 0..yields {
                yield_now().await;
            }
            Ok(vec![Val::I32(answer(tag))])
        }
    });
    imports
}

/// A module with `fields`, and the parts that Binaryen's pass adds. The functions in `fields` are
/// instrumented by hand, so that each step of it can be left out:
///
/// - `UNWINDING` and `REWINDING` tell the state; a function that uses neither is not instrumented;
/// - `$push` and `$pop` move an i32 to the frames and back.
pub(crate) fn by_hand(fields: &str) -> String {
    const CHECK: &str = "(if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data))) (then unreachable))";
    let fields = fields
        .replace("UNWINDING", "(i32.eq (global.get $state) (i32.const 1))")
        .replace("REWINDING", "(i32.eq (global.get $state) (i32.const 2))");
    format!(
        r#"(module {fields}
        (global $state (mut i32) (i32.const 0))
        (global $data (mut i32) (i32.const 0))
        (func $push (param i32)
          (i32.store (i32.load (global.get $data)) (local.get 0))
          (i32.store (global.get $data) (i32.add (i32.load (global.get $data)) (i32.const 4))))
        (func $pop (result i32)
          (i32.store (global.get $data) (i32.sub (i32.load (global.get $data)) (i32.const 4)))
          (i32.load (i32.load (global.get $data))))
        (func (export "asyncify_start_unwind") (param i32)
          (global.set $state (i32.const 1)) (global.set $data (local.get 0)) {CHECK})
        (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)) {CHECK})
        (func (export "asyncify_start_rewind") (param i32)
          (global.set $state (i32.const 2)) (global.set $data (local.get 0)) {CHECK})
        (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)) {CHECK})
        (func (export "asyncify_get_state") (result i32) (global.get $state)))"#
    )
}

/// The import that most of the guests wait in.
pub(crate) const WAIT: &str = r#"(import "env" "wait" (func $wait (param i32) (result i32)))"#;

/// `run(x)`: `wait(x) + x`, rightly instrumented.
pub(crate) const RUN: &str = r#"
    (func $run (export "run") (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $x (call $pop))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (i32.add (local.get $answer) (local.get $x)))"#;

/// What [`RUN`] returns.
pub(crate) fn ran(x: i32) -> i32 {
    answer(x).wrapping_add(x)
}

/// A guest of [`WAIT`], a memory, [`RUN`] and `fields`, answered by `desk`.
pub(crate) fn guest_with(desk: &Desk, fields: &str) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory (export \"memory\") 1) {RUN} {fields}"));
    instantiate(&module, desk.imports(&engine))
}

/// What may always be the matter where guest and host disagree.
pub(crate) const HINT: &str = "a function that was linked by hand called the guest on the way, or that a later tool changed what Binaryen instrumented";

/// A module of [`by_hand`].
pub(crate) fn module(engine: &Engine, fields: &str) -> Module {
    Module::new(engine, by_hand(fields)).unwrap()
}

pub(crate) fn instantiate(module: &Module, imports: AsyncImports<()>) -> Guest {
    block_on(Guest::builder(module).async_imports(imports).instantiate()).unwrap()
}

/// As [`instantiate`], for a guest whose instrumentation is wrong on purpose.
pub(crate) fn trust(module: &Module, imports: AsyncImports<()>) -> Guest {
    let builder = Guest::builder(module).async_imports(imports).trust_instrumentation();
    block_on(builder.instantiate()).unwrap()
}

/// `name`, called with an i32 for an i32.
pub(crate) fn call(guest: &Guest, name: &str, x: i32) -> Call<(i32,)> {
    guest.all_exports().typed::<(i32,), (i32,)>(name).unwrap().call((x,))
}

/// One of the guests in `examples/guests`.
pub(crate) fn example(engine: &Engine, name: &str) -> Module {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests");
    Module::from_file(engine, guests.join(name)).unwrap()
}
