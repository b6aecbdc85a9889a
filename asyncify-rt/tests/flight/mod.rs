//! What the tests of many calls in one guest share: gates that imports wait at, and guests whose
//! answers are known.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod answers;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asyncify_rt::{
    AsyncImports, Builder, Call, Guest, ImportResult, Module, Place, Result, StackPointer,
    StackPolicy,
};
use parking_lot::Mutex;
use wasmtime::{Engine, Extern, FuncType, Val, ValType};

/// What `env.wait` answers.
pub fn w(tag: u32) -> u32 {
    tag.wrapping_mul(3).wrapping_add(1)
}

pub fn path(guest: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests").join(guest)
}

pub fn module(engine: &Engine, guest: &str) -> Module {
    Module::from_file(engine, path(guest)).unwrap()
}

/// Where imports wait, each under a number of its own, until the test lets it go on.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: HashMap<u64, Option<Waker>>,
    open: bool,
    dropped: usize,
}

impl Gates {
    /// Waits until [`open`](Self::open) is called with this future's number.
    pub fn wait(&self) -> Gate {
        let mut inner = self.0.lock();
        let id = inner.next;
        inner.next += 1;
        inner.waiting.insert(id, None);
        Gate { gates: self.clone(), id, done: false }
    }

    /// The numbers of those that wait, oldest first.
    pub fn waiting(&self) -> Vec<u64> {
        let mut ids: Vec<_> = self.0.lock().waiting.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Lets one go on.
    pub fn open(&self, id: u64) {
        let waker = self.0.lock().waiting.remove(&id);
        if let Some(Some(waker)) = waker {
            waker.wake();
        }
    }

    /// Lets all go on that wait, and all that will.
    pub fn open_all(&self) {
        self.0.lock().open = true;
        for id in self.waiting() {
            self.open(id);
        }
    }

    /// How many were dropped while they waited.
    pub fn dropped(&self) -> usize {
        self.0.lock().dropped
    }
}

pub struct Gate {
    gates: Gates,
    id: u64,
    done: bool,
}

impl Future for Gate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.id;
        let mut inner = self.gates.0.lock();
        if !inner.open
            && let Some(waker) = inner.waiting.get_mut(&id)
        {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        inner.waiting.remove(&id);
        drop(inner);
        self.done = true;
        Poll::Ready(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !self.done {
            let mut inner = self.gates.0.lock();
            inner.waiting.remove(&self.id);
            inner.dropped += 1;
        }
    }
}

/// Yields once.
pub async fn yield_now() {
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

/// `module.name`, from an i32 to an i32.
pub fn unary<T: Send + 'static>(
    engine: &Engine,
    imports: &mut AsyncImports<T>,
    name: &str,
    body: impl Fn(u32) -> ImportResult + Send + Sync + 'static,
) {
    let ty = FuncType::new(engine, [ValType::I32], [ValType::I32]);
    imports
        .define("env", name, ty, move |_, params| Ok(body(params[0].unwrap_i32().cast_unsigned())));
}

pub fn i32(value: u32) -> Val {
    Val::I32(value.cast_signed())
}

/// `env.wait`, answering by the formula when its gate opens.
pub fn waits(engine: &Engine, gates: &Gates) -> AsyncImports<()> {
    let mut imports = AsyncImports::new();
    let gates = gates.clone();
    unary(engine, &mut imports, "wait", move |tag| {
        let gate = gates.wait();
        ImportResult::wait(async move {
            gate.await;
            Ok(vec![i32(w(tag))])
        })
    });
    imports
}

/// All imports of `values.wasm`, each waiting at a gate.
pub fn values_imports(engine: &Engine, gates: &Gates) -> AsyncImports<()> {
    let mut imports = waits(engine, gates);
    let types = [
        ("wait_i64", vec![ValType::I64], vec![ValType::I64]),
        ("wait_f32", vec![ValType::F32], vec![ValType::F32]),
        ("wait_f64", vec![ValType::F64], vec![ValType::F64]),
        ("wait_v128", vec![ValType::V128], vec![ValType::V128]),
        ("wait_pair", vec![ValType::I32, ValType::I64], vec![ValType::I64, ValType::F64]),
    ];
    for (name, params, results) in types {
        let gates = gates.clone();
        imports.define("env", name, FuncType::new(engine, params, results), move |_, params| {
            let gate = gates.wait();
            let answer = match params {
                [Val::I32(a), Val::I64(b)] => {
                    vec![Val::I64(b * 2), Val::F64(f64::from(*a).to_bits())]
                }
                other => other.to_vec(),
            };
            Ok(ImportResult::wait(async move {
                gate.await;
                Ok(answer)
            }))
        });
    }
    imports
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

/// Polls once with a waker that counts nothing.
pub fn poll<R>(call: &mut Call<R>) -> Poll<Result<R>> {
    Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts its wakes.
#[derive(Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub fn waker(self: &Arc<Self>) -> Waker {
        Arc::clone(self).into()
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A `stack.wasm` whose waits wait at gates.
pub fn stack_guest(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> (Guest, Gates) {
    let engine = Engine::default();
    let gates = Gates::default();
    let builder = Guest::builder(&module(&engine, "stack.wasm"));
    // It exports no allocator, and its regions need a place. It never asks how large its memory is.
    let builder = builder.async_imports(waits(&engine, &gates)).place(Place::Grow);
    (block_on(configure(builder).instantiate()).unwrap(), gates)
}

pub fn with_policy(policy: StackPolicy) -> (Guest, Gates) {
    stack_guest(|builder| builder.stack_policy(policy))
}

/// Where the guest's stack pointer stands; `None` if it has none.
pub fn stack_pointer(guest: &Guest, module: &Module) -> Option<u32> {
    let StackPointer::Found { export, .. } = module.findings().stack_pointer() else {
        return None;
    };
    block_on(guest.with(|cx| {
        let Some(Extern::Global(global)) = cx.export(export) else { return None };
        Some(global.get(cx.store().ok()?).unwrap_i32().cast_unsigned())
    }))
    .unwrap()
}
