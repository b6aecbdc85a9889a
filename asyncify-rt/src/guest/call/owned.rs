//! A call that owns what it needs: it may park.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::Val;

use super::running::{Body, Running};
use super::target::Target;
use crate::error::Result;

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
/// guest inside one of its imports can be told, and is [`Error::Reentered`](crate::Error::Reentered).
///
/// Where an import of one guest awaits a call of another, whose import awaits a third's, and so on,
/// the calls from the third on begin when those before them have parked: the stacks of all of them
/// would be more than a thread has.
///
/// An import's future is dropped when the guest is free, so its `Drop` may use the guest. One that
/// ends inside the import, at its first poll, finds the guest taken: [`Error::Busy`](crate::Error::Busy) or
/// [`Error::Reentered`](crate::Error::Reentered).
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
        Self { body: Running::boxed(target, args) }
    }

    /// Answers the import that the call waits in with `answer`, so that the guest can clean up:
    /// the import's future is dropped, and the next poll resumes the guest.
    ///
    /// `answer` are the values that the import's signature returns. If they are others, the call
    /// ends with [`Error::BadValue`](crate::Error::BadValue) when it resumes.
    ///
    /// # Errors
    /// [`Error::NotParked`](crate::Error::NotParked) if the call has not started, has ended, or its import has answered.
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
