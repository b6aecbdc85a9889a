//! A call of an export that does not suspend: it never parks, so it owns nothing but its arguments.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Target, start};
use crate::cycle;
use crate::error::{Error, Result, Thin};
use crate::function::Callable;
use crate::machine::MaySuspend;
use crate::marshal::Args;
use crate::trace::CallSpan;
use crate::turns::{Begin, Turn};

/// A call that does not suspend: a future that borrows the function and allocates nothing.
///
/// It waits for its turn in the guest, and then ends within one poll. If it reaches an import that
/// suspends, that is refused before it does anything, and the call ends with
/// [`Error::MustNotSuspend`]. Dropping it before its turn leaves no trace.
///
/// An `fn` of an exports trait is called so, and any function by
/// [`call_plain`](crate::TypedAsyncFunction::call_plain).
///
/// # Panics
/// As [`Call`](crate::Call).
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// #[asyncify::exports]
/// trait App {
///     fn double(&self, number: u32) -> u32;
/// }
///
/// let app: AppExports = guest.exports()?;
/// assert_eq!(app.double(4).await?, 8);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct PlainCall<'a, A: Args, M, R> {
    function: &'a dyn Callable<A, M, R>,
    /// `None` once it has run.
    args: Option<A::Owned>,
    /// Its place where calls take turns whole, from its first poll on until it has run.
    turn: Option<Box<Turn>>,
    span: CallSpan,
}

/// Nothing in it is pinned.
impl<A: Args, M, R> Unpin for PlainCall<'_, A, M, R> {}

impl<'a, A: Args, M, R> PlainCall<'a, A, M, R> {
    #[inline]
    pub(crate) fn new(function: &'a dyn Callable<A, M, R>, args: A::Owned) -> Self {
        Self { function, args: Some(args), turn: None, span: CallSpan::new(function.name()) }
    }
}

impl<A: Args, M, R> Future for PlainCall<'_, A, M, R> {
    type Output = Result<R>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let Self { function, args, turn, span } = &mut *self;
        let _current = span.enter();
        function.poll_plain(args, turn, cx)
    }
}

impl<A: Args, M, R> fmt::Debug for PlainCall<'_, A, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainCall").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

/// Runs the target when the guest is free. The arguments are taken then.
#[inline]
pub(crate) fn poll_plain<T: Send + 'static, X: Target<T>>(
    target: &X,
    args: &mut Option<X::Args>,
    turn: &mut Option<Box<Turn>>,
    cx: &mut Context<'_>,
) -> Poll<Result<X::Output>> {
    let _around = target.guest().take_place(turn, || args.is_none());
    std::task::ready!(target.guest().poll_turn(turn, cx.waker()))?;
    let mut begin = Begin::Now;
    let mut output = None;
    let ran = target.guest().poll_with(cx, |guest| -> Thin<()> {
        begin = turn.as_mut().map_or(Begin::Now, |turn| turn.begin());
        if begin != Begin::Now {
            return Ok(());
        }
        let args = args.take().ok_or(Error::CallEnded)?;
        let plain = MaySuspend::PlainExport;
        if let Some(parking) = start(target, guest, plain, args, &mut output)? {
            // Its import is refused before it does anything, so this is not to be expected.
            cycle::discard(guest, parking.key);
            guest.rt().run.ended.push(parking.pending);
            return Err(Error::out_of_step("it suspended".to_owned()).into());
        }
        Ok(())
    });
    let ran = std::task::ready!(ran);
    if begin != Begin::Now {
        return begin.wait(cx.waker());
    }
    *turn = None;
    match (ran, output) {
        (Ok(Ok(())), Some(output)) => Poll::Ready(Ok(output)),
        (Ok(Ok(())), None) => Poll::Ready(Err(Error::CallEnded)),
        (Ok(Err(error)), _) => Poll::Ready(Err(Error::from(error).in_function(target.name()))),
        (Err(refused), _) => Poll::Ready(Err(refused.into())),
    }
}
