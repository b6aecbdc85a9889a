//! One call: a future that enters the guest, waits while parked, and resumes.

mod parked;
mod plain;

use parked::{Parked, Parking};
pub use plain::PlainCall;
pub(crate) use plain::poll_plain;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::{StoreContextMut, Val};

use crate::cx::GuestCx;
use crate::cycle::{self, Outcome};
use crate::error::{Error, Result, Thin};
use crate::guest::Guest;
use crate::machine::MaySuspend;
use crate::marshal::Slice;
use crate::nesting;
use crate::state::{Resuming, State};
use crate::trace::CallSpan;
use crate::turns::{Begin, Turn};

/// A call of a guest's function: an owned future that any executor can drive.
///
/// Nothing runs before it is first polled. Each poll runs wasm on the polling thread until the
/// guest returns or waits for an import; while it waits, the guest is free for other calls.
/// Dropping it cancels the call: the import's future is dropped at once, the guest stays usable,
/// and what the guest's frames held in its own memory is lost to it. `tokio::time::timeout` and
/// `select!` work so; [`cancel`](Self::cancel) lets the guest clean up instead. A call that is kept
/// and polled no more holds up no other, except where calls take turns whole:
/// [`StackPolicy::Exclusive`](crate::StackPolicy::Exclusive).
///
/// A long computation in the guest occupies the thread that polls it, and all who call the same
/// guest; spawn it on a thread where it disturbs nobody, or bound it with
/// [`Builder::epoch_deadline`](crate::Builder::epoch_deadline).
///
/// An async import may call its own guest, and await that. It must not wait for the call that
/// waits for it, by whatever way: such a pair never ends, and nobody can tell. Blocking on the
/// guest inside one of its imports can be told, and is [`Error::Reentered`].
///
/// Where an import of one guest awaits a call of another, whose import awaits a third's, and so on,
/// the calls from the third on begin when those before them have parked: the stacks of all of them
/// would be more than a thread has.
///
/// An import's future is dropped when the guest is free, so its `Drop` may use the guest. One that
/// ends inside the import, at its first poll, finds the guest taken: [`Error::Busy`] or
/// [`Error::Reentered`].
///
/// # Panics
/// A panic in a host function goes on through the poll that ran it, to whoever polls this call, and
/// leaves no lock held. In an import that the guest just called, the first poll of its future
/// included, it poisons the guest: what that was doing is half done. While the call is parked
/// nothing of the guest runs, and the panic ends this call only, as if it were dropped. Calls of
/// other guests go on in either case.
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
        // The box comes first: what is written elsewhere just before it is moved stalls a processor.
        let place = Box::<Running<T, X>>::new_uninit();
        let span = CallSpan::new(target.name());
        let progress = Progress { args: Some(args), parked: None, turn: None, span };
        let running = Box::write(place, Running { target, progress });
        Self { body: running }
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
    fn invoke_again(
        &self,
        store: StoreContextMut<'_, State<T>>,
        kept: &Self::Kept,
    ) -> wasmtime::Result<Self::Raw>;
    /// Makes the output. `placed` is what the arguments lie in.
    fn finish(
        &self,
        cx: &mut GuestCx<'_, T>,
        kept: Self::Kept,
        raw: Self::Raw,
        placed: &[Slice],
    ) -> Result<Self::Output>;
}

struct Running<T: Send + 'static, X: Target<T>> {
    target: Arc<X>,
    progress: Progress<X::Args, X::Kept>,
}

/// How far a call is. It is changed in place and never moved while the call goes on: moving what
/// was written just before stalls a processor.
struct Progress<A, K> {
    /// What to start with; `None` once it has started.
    args: Option<A>,
    /// Where it is parked; `None` before it parks and when it has ended.
    parked: Option<Parked<K>>,
    /// Its place where calls take turns whole, from its first poll to its end.
    turn: Option<Box<Turn>>,
    span: CallSpan,
}

impl<A, K> Progress<A, K> {
    /// Runs wasm until it returns, which gives an output, or parks.
    #[inline]
    fn run<T: Send + 'static, X: Target<T, Args = A, Kept = K>>(
        &mut self,
        target: &X,
        guest: &mut GuestCx<'_, T>,
        output: &mut Option<X::Output>,
    ) -> Thin<()> {
        let Some(args) = self.args.take() else {
            return self.resume(target, guest, output);
        };
        if let Some(parked) = start(target, guest, MaySuspend::Yes, args, output)? {
            self.span.parked(guest.rt(), parked.key, &*parked.pending);
            self.parked = Some(Parked::new(guest, parked));
        }
        Ok(())
    }

    fn resume<T: Send + 'static, X: Target<T, Args = A, Kept = K>>(
        &mut self,
        target: &X,
        guest: &mut GuestCx<'_, T>,
        output: &mut Option<X::Output>,
    ) -> Thin<()> {
        let Some(parked) = &mut self.parked else {
            return Err(Error::CallEnded.into());
        };
        if !parked.answered {
            // The import's future stays until the guest is unlocked: it may use the guest.
            let error = cycle::take_dead(guest, parked.key);
            if let Some(extra) = &parked.extra {
                guest.free_all(&extra.placed);
            }
            return Err(error.into());
        }
        let mut raw = None;
        let invoke = |store: StoreContextMut<'_, State<T>>| {
            raw = Some(target.invoke_again(store, &parked.kept)?);
            Ok(())
        };
        let ran = match parked.pending.take() {
            None => {
                // A host function panicked. The call is still parked if that was before it went on.
                cycle::discard(guest, parked.key);
                Err(Error::CallEnded.into())
            }
            Some(pending) => {
                self.span.resumed(guest.rt(), parked.key, &*pending);
                let (instead, saved) = match &mut parked.extra {
                    Some(extra) => (extra.instead.take(), extra.saved.take()),
                    None => (None, None),
                };
                let resuming = Resuming { pending, instead };
                cycle::resume(guest, target.name(), parked.key, resuming, saved, invoke)
            }
        };
        let ended = match ran {
            Ok(Outcome::Parked { key, pending, saved }) => {
                self.span.parked(guest.rt(), key, &*pending);
                parked.again(guest, key, pending, saved);
                return Ok(());
            }
            Ok(Outcome::Returned) => Ok(raw),
            Err(error) => Err(error),
        };
        let Some(Parked { kept, extra, .. }) = self.parked.take() else {
            return ended.map(drop);
        };
        let placed = extra.map(|extra| extra.placed.into_vec()).unwrap_or_default();
        let converting = Converting { guest, placed };
        let finished = match ended {
            Ok(raw) => {
                let finish = |raw| target.finish(converting.guest, kept, raw, &converting.placed);
                raw.map(finish).transpose()
            }
            Err(error) => Err(error.into()),
        };
        let placed = converting.end();
        guest.free_all(&placed);
        *output = finished?;
        Ok(())
    }
}

/// Keeps what was placed for a call's arguments while they, or the result, are converted: it is
/// dropped should that panic, and only then.
struct Converting<'a, 'b, T: Send + 'static> {
    guest: &'a mut GuestCx<'b, T>,
    placed: Vec<Slice>,
}

impl<T: Send + 'static> Converting<'_, '_, T> {
    #[inline]
    fn end(mut self) -> Vec<Slice> {
        let placed = std::mem::take(&mut self.placed);
        std::mem::forget(self);
        placed
    }
}

impl<T: Send + 'static> Drop for Converting<'_, '_, T> {
    #[cold]
    fn drop(&mut self) {
        let rt = self.guest.rt();
        self.placed.extend(rt.run.placed.take().unwrap_or_default());
        rt.mail.open(|letters| letters.placed.append(&mut self.placed));
    }
}

/// Places the arguments, and runs wasm until it returns, which gives an output, or parks.
#[inline]
pub(crate) fn start<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    may_suspend: MaySuspend,
    args: X::Args,
    output: &mut Option<X::Output>,
) -> Thin<Option<Parking<X::Kept>>> {
    cycle::check_poison(guest.rt())?;
    let mut converting = Converting { guest, placed: Vec::new() };
    converting.guest.rt().run.placed = Some(Vec::new());
    let values = target.place(converting.guest, args);
    converting.placed = converting.guest.rt().run.placed.take().unwrap_or_default();
    let ran = match values {
        Ok(values) => {
            enter(target, converting.guest, may_suspend, values, &converting.placed, output)
        }
        Err(error) => Err(error.into()),
    };
    let placed = converting.end();
    match ran {
        Ok(Some(mut parking)) => {
            parking.placed = placed;
            Ok(Some(parking))
        }
        ran => {
            if !placed.is_empty() {
                guest.free_all(&placed);
            }
            ran.map(|_| None)
        }
    }
}

#[inline]
fn enter<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    may_suspend: MaySuspend,
    (params, kept): (X::Params, X::Kept),
    placed: &[Slice],
    output: &mut Option<X::Output>,
) -> Thin<Option<Parking<X::Kept>>> {
    let mut raw = None;
    let invoke = |store: StoreContextMut<'_, State<T>>| {
        raw = Some(target.invoke(store, params)?);
        Ok(())
    };
    match cycle::enter(guest, target.name(), may_suspend, invoke)? {
        Outcome::Returned => {
            *output = raw.map(|raw| target.finish(guest, kept, raw, placed)).transpose()?;
            Ok(None)
        }
        Outcome::Parked { key, pending, saved } => {
            Ok(Some(Parking { key, pending, kept, placed: Vec::new(), saved }))
        }
    }
}

impl<T: Send + 'static, X: Target<T>> Body<X::Output> for Running<T, X> {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<X::Output>> {
        let Self { target, progress } = self;
        let _current = progress.span.enter();
        let is_over = || progress.args.is_none() && progress.parked.is_none();
        let _around = target.guest().take_place(&mut progress.turn, is_over);
        if let Some(parked) = &mut progress.parked {
            std::task::ready!(parked.poll(target.guest(), cx));
        }
        if nesting::puts_off() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        std::task::ready!(target.guest().poll_turn(&mut progress.turn, cx.waker()))?;
        let mut begin = Begin::Now;
        let mut output = None;
        let ran = target.guest().poll_with(cx, |guest| {
            begin = progress.turn.as_mut().map_or(Begin::Now, |turn| turn.begin());
            if begin != Begin::Now {
                return Ok(());
            }
            progress.run(&**target, guest, &mut output)
        });
        match (std::task::ready!(ran), output) {
            (Ok(Ok(())), Some(output)) => {
                progress.turn = None;
                Poll::Ready(Ok(output))
            }
            (Ok(Ok(())), None) if begin != Begin::Now => begin.wait(cx.waker()),
            // The import's future was polled just now, with this waker. Polling it again at once
            // would swallow a `yield_now` and starve the executor.
            (Ok(Ok(())), None) => Poll::Pending,
            (Ok(Err(error)), _) => {
                progress.parked = None;
                progress.turn = None;
                Poll::Ready(Err(Error::from(error).in_function(target.name())))
            }
            (Err(refused), _) => Poll::Ready(Err(refused.into())),
        }
    }

    fn cancel(&mut self, answer: &[Val]) -> Result<()> {
        match &mut self.progress.parked {
            Some(Parked { pending: Some(pending), answered, extra, .. }) if !*answered => {
                extra.get_or_insert_default().instead = Some(answer.into());
                *answered = true;
                // This comes last: the future may panic when it is dropped.
                pending.as_mut().abandon();
                Ok(())
            }
            _ => Err(Error::NotParked { function: self.target.name().to_owned() }),
        }
    }

    fn stage(&self) -> &'static str {
        match (&self.progress.args, &self.progress.parked) {
            (Some(_), _) => "not started",
            (None, Some(Parked { answered: false, .. })) => "parked",
            (None, Some(Parked { answered: true, .. })) => "to be resumed",
            (None, None) => "ended",
        }
    }
}

impl<T: Send + 'static, X: Target<T>> Drop for Running<T, X> {
    /// Locks nothing and runs no wasm: what the call held is collected by the next lock.
    fn drop(&mut self) {
        if let Some(Parked { key, pending, extra, .. }) = self.progress.parked.take() {
            let (placed, saved) =
                extra.map(|extra| (extra.placed, extra.saved)).unwrap_or_default();
            self.target.guest().mail_dropped(key, placed);
            // What is the user's goes last: it may panic.
            drop((saved, pending));
        }
    }
}
