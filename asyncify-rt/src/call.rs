//! One call: a future that enters the guest, waits while parked, and resumes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime::{StoreContextMut, Val};

use crate::cx::GuestCx;
use crate::cycle::{self, Outcome};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::machine::MaySuspend;
use crate::parked::Key;
use crate::state::{Pending, Resuming, State};
use crate::trace::CallSpan;

/// A call of a guest's function: an owned future that any executor can drive.
///
/// Nothing runs before it is first polled. Each poll runs wasm on the polling thread until the
/// guest returns or waits for an import; while it waits, the guest is free for other calls.
/// Dropping it cancels the call: the import's future is dropped at once, the guest stays usable,
/// and what the guest's frames held in its own memory is lost to it. `tokio::time::timeout` and
/// `select!` work so; [`cancel`](Self::cancel) lets the guest clean up instead. A call that is kept
/// and polled no more holds up no other.
///
/// A long computation in the guest occupies the thread that polls it, and all who call the same
/// guest; spawn it on a thread where it disturbs nobody, or bound it with
/// [`Builder::epoch_deadline`](crate::Builder::epoch_deadline).
///
/// An async import may call its own guest, and await that. It must not wait for the call that
/// waits for it, by whatever way: such a pair never ends, and nobody can tell. Blocking on the
/// guest inside one of its imports can be told, and is [`Error::Reentered`].
///
/// # Panics
/// A panic in a host function goes on through the poll that ran it, to whoever polls this call.
/// If the guest was running it is poisoned; if the call was parked, it ends as if it were dropped.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # struct Host;
/// # #[asyncify::imports(module = "env")] impl Host {
/// #     async fn yield_now(&self) { tokio::task::yield_now().await }
/// #     async fn pause(&self) -> u32 { std::future::pending().await }
/// # }
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).imports(Host).instantiate().await?;
/// let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
///
/// // Calls are futures: two of them run in one guest, and each waits ten times.
/// let (a, b) = futures::join!(spin.call((10,)), spin.call((10,)));
/// a?;
/// b?;
/// assert_eq!(guest.stats().await?.suspensions, 20);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<R> {
    body: Box<dyn Body<R>>,
}

impl<R> Call<R> {
    pub(crate) fn new<T, X>(target: Arc<X>, args: X::Args) -> Self
    where
        T: Send + 'static,
        X: Target<T, Output = R>,
    {
        let span = CallSpan::new(target.name());
        let stage = Stage::Start(args);
        Self { body: Box::new(Running { target, stage, placed: Vec::new(), span }) }
    }

    /// Answers the import that the call waits in with `answer`, so that the guest can clean up:
    /// the import's future is dropped, and the next poll resumes the guest.
    ///
    /// `answer` are the values that the import's signature returns. If they are others, the call
    /// ends with [`Error::BadValue`] when it resumes.
    ///
    /// # Errors
    /// [`Error::NotParked`] if the call has not started, has ended, or its import has answered.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).imports(Host).instantiate().await?;
    /// use asyncify::Error;
    ///
    /// let frames = guest.all_exports().typed::<(u32,), (u32,)>("frames")?;
    /// let mut call = frames.call((3,));
    /// assert!(matches!(call.cancel(&[]), Err(Error::NotParked { .. })));
    ///
    /// // It waits for `yield_now`, which answers nothing.
    /// assert!(futures::poll!(&mut call).is_pending());
    /// call.cancel(&[])?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn cancel(&mut self, answer: &[Val]) -> Result<()> {
        self.body.cancel(answer)
    }
}

impl<R> Future for Call<R> {
    type Output = Result<R>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        self.body.poll(cx)
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("stage", &self.body.stage()).finish_non_exhaustive()
    }
}

/// A call, whatever it calls.
trait Body<R>: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R>>;
    fn cancel(&mut self, answer: &[Val]) -> Result<()>;
    fn stage(&self) -> &'static str;
}

/// What a call calls, and how its values get there and back.
pub(crate) trait Target<T: Send + 'static>: Send + Sync + 'static {
    type Args: Send + 'static;
    /// The wasm values to call with.
    type Params;
    /// What is needed of them when the function has returned.
    type Kept: Send + 'static;
    /// The wasm values that it returns.
    type Raw;
    type Output: Send + 'static;

    fn name(&self) -> &str;
    fn guest(&self) -> &Guest<T>;
    fn may_suspend(&self) -> MaySuspend;
    fn place(
        &self,
        cx: &mut GuestCx<'_, T>,
        args: Self::Args,
    ) -> Result<(Self::Params, Self::Kept)>;
    fn invoke(
        &self,
        store: StoreContextMut<'_, State<T>>,
        params: Self::Params,
    ) -> wasmtime::Result<Self::Raw>;
    /// Calls again, to rewind: the arguments are not looked at.
    fn invoke_again(&self, store: StoreContextMut<'_, State<T>>) -> wasmtime::Result<Self::Raw>;
    fn finish(
        &self,
        cx: &mut GuestCx<'_, T>,
        kept: Self::Kept,
        raw: Self::Raw,
    ) -> Result<Self::Output>;
}

struct Running<T: Send + 'static, X: Target<T>> {
    target: Arc<X>,
    stage: Stage<X::Args, X::Kept>,
    /// What was placed in the guest for the arguments.
    placed: Vec<u32>,
    span: CallSpan,
}

enum Stage<A, K> {
    /// Not polled yet, or not with the guest's lock.
    Start(A),
    /// Parked, and the import waits.
    Waiting(Waiting<K>),
    /// Parked, and the import can be answered.
    Ready {
        key: Key,
        resuming: Resuming,
        kept: K,
    },
    Ended,
}

struct Waiting<K> {
    key: Key,
    pending: Box<dyn Pending>,
    kept: K,
    /// The waker that the record holds, by [`mark`].
    waker: usize,
    /// [`Holder::poisonings`](crate::lock::Holder) when the call parked.
    poisonings: u32,
}

/// Tells wakers apart without keeping one.
fn mark(waker: &Waker) -> usize {
    waker.data().addr() ^ std::ptr::from_ref(waker.vtable()).addr()
}

impl<T: Send + 'static, X: Target<T>> Running<T, X> {
    /// Runs wasm until it returns or parks. `run` is told the guest, and what to free at the end.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        stage: Stage<X::Args, X::Kept>,
    ) -> Poll<Result<X::Output>> {
        let Self { target, stage: next, placed, span } = self;
        let mut guard = match target.guest().poll_lock(cx) {
            Poll::Ready(Ok(guard)) => guard,
            // The call stays where it is, so that dropping it frees what it holds.
            Poll::Ready(Err(error)) => {
                *next = stage;
                return Poll::Ready(Err(error));
            }
            Poll::Pending => {
                *next = stage;
                return Poll::Pending;
            }
        };
        let mut guest = GuestCx::of(&mut guard);
        let waker = cx.waker();
        let ran = match stage {
            Stage::Start(args) => start(&**target, &mut guest, waker, args, placed),
            Stage::Ready { key, resuming, kept } => {
                span.resumed(guest.rt(), key, &*resuming.pending);
                go_on(&**target, &mut guest, waker, key, resuming).map(|outcome| (outcome, kept))
            }
            Stage::Waiting(Waiting { key, pending, .. }) => {
                drop(pending);
                Err(cycle::take_dead(&mut guest, key))
            }
            Stage::Ended => Err(Error::CallEnded),
        };
        let ended = match ran {
            Ok((Outcome::Parked { key, pending }, kept)) => {
                span.parked(guest.rt(), key, &*pending);
                let poisonings = guest.rt().holder.poisonings();
                let waker = mark(waker);
                *next = Stage::Waiting(Waiting { key, pending, kept, waker, poisonings });
                // The import's future was polled just now, with this waker. Polling it again at
                // once would swallow a `yield_now` and starve the executor.
                return Poll::Pending;
            }
            Ok((Outcome::Returned(raw), kept)) => target.finish(&mut guest, kept, raw),
            Err(error) => Err(error),
        };
        if !placed.is_empty() {
            guest.free_all(std::mem::take(placed));
        }
        Poll::Ready(ended.map_err(|error| error.in_function(target.name())))
    }
}

#[inline]
fn start<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    waker: &Waker,
    args: X::Args,
    placed: &mut Vec<u32>,
) -> Result<(Outcome<X::Raw>, X::Kept)> {
    cycle::check_poison(guest.rt())?;
    guest.rt().run.placed = Some(Vec::new());
    let values = target.place(guest, args);
    *placed = guest.rt().run.placed.take().unwrap_or_default();
    let (params, kept) = values?;
    let outcome = cycle::enter(guest, target.name(), waker, target.may_suspend(), |store| {
        target.invoke(store, params)
    })?;
    Ok((outcome, kept))
}

fn go_on<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    waker: &Waker,
    key: Key,
    resuming: Resuming,
) -> Result<Outcome<X::Raw>> {
    cycle::resume(guest, target.name(), waker, key, resuming, |store| target.invoke_again(store))
}

impl<T: Send + 'static, X: Target<T>> Body<X::Output> for Running<T, X> {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<X::Output>> {
        let _current = self.span.enter();
        // In its place, so that a panic of the import's future leaves a call that can be dropped.
        let mut answered = false;
        if let Stage::Waiting(waiting) = &mut self.stage {
            let guest = self.target.guest();
            let waker = mark(cx.waker());
            if waker != waiting.waker {
                waiting.waker = waker;
                guest.mail_waker(waiting.key, cx.waker().clone());
            }
            if guest.poisonings() == waiting.poisonings {
                std::task::ready!(waiting.pending.poll(cx));
                answered = true;
            }
        }
        let stage = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting(Waiting { key, pending, kept, .. }) if answered => {
                Stage::Ready { key, resuming: Resuming { pending, instead: None }, kept }
            }
            stage => stage,
        };
        self.step(cx, stage)
    }

    fn cancel(&mut self, answer: &[Val]) -> Result<()> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting(Waiting { key, mut pending, kept, .. }) => {
                pending.abandon();
                let resuming = Resuming { pending, instead: Some(answer.to_vec()) };
                self.stage = Stage::Ready { key, resuming, kept };
                Ok(())
            }
            other => {
                self.stage = other;
                let function = self.target.name().to_owned();
                Err(Error::NotParked { function })
            }
        }
    }

    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Start(_) => "not started",
            Stage::Waiting(_) => "parked",
            Stage::Ready { .. } => "to be resumed",
            Stage::Ended => "ended",
        }
    }
}

impl<T: Send + 'static, X: Target<T>> Drop for Running<T, X> {
    /// Locks nothing and runs no wasm: what the call held is collected by the next lock.
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        if let Stage::Waiting(Waiting { key, .. }) | Stage::Ready { key, .. } = &stage {
            self.target.guest().mail_dropped(*key, std::mem::take(&mut self.placed));
        }
        // The import's future goes last: it may panic.
        drop(stage);
    }
}
