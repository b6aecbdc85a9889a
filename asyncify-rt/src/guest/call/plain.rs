//! A call of an export that does not suspend: it never parks, so it owns nothing but its arguments.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::owned::Call;
use super::start::start;
use super::target::Target;
use crate::cx::GuestCx;
use crate::cycle;
use crate::error::{Error, Result, Thin};
use crate::marshal::Args;
use crate::parts::machine::MaySuspend;
use crate::parts::turns::{Begin, Turn};
use crate::store::Vm;
use crate::trace::CallSpan;

/// A function with its types, whatever its guest holds.
pub(crate) trait Callable<A: Args, M, R>: Send + Sync {
    fn call(self: Arc<Self>, args: A::Owned) -> Call<R>;
    /// Runs it when the guest is free, and takes the arguments then. It must not suspend.
    fn poll_plain(
        &self,
        args: &mut Option<A::Owned>,
        turn: &mut Option<Box<Turn>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R>>;
    fn name(&self) -> &str;
}

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
    let mut output = None;
    let ran = if target.guest().takes_turns() {
        std::task::ready!(poll_in_turn(target, args, turn, cx, &mut output))
    } else {
        let run = |vm: Vm<'_, T>| run(target, &mut GuestCx::new(vm), args, &mut output);
        std::task::ready!(target.guest().poll_with(cx, run))
    };
    match (ran, output) {
        (Ok(Ok(())), Some(output)) => Poll::Ready(Ok(output)),
        (Ok(Ok(())), None) => Poll::Ready(Err(Error::CallEnded)),
        (Ok(Err(error)), _) => Poll::Ready(Err(Error::from(error).in_function(target.name()))),
        (Err(refused), _) => Poll::Ready(Err(refused.into())),
    }
}

/// Calls it where it is this call's turn.
#[cold]
fn poll_in_turn<T: Send + 'static, X: Target<T>>(
    target: &X,
    args: &mut Option<X::Args>,
    turn: &mut Option<Box<Turn>>,
    cx: &mut Context<'_>,
    output: &mut Option<X::Output>,
) -> Poll<Thin<Thin<()>>> {
    let _around = target.guest().take_place(turn, || args.is_none());
    if let Err(refused) = std::task::ready!(target.guest().poll_turn(turn, cx.waker())) {
        return Poll::Ready(Err(refused));
    }
    let mut begin = Begin::Now;
    let ran = std::task::ready!(target.guest().poll_with(cx, |vm| {
        begin = turn.as_mut().map_or(Begin::Now, |turn| turn.begin());
        if begin == Begin::Now { run(target, &mut GuestCx::new(vm), args, output) } else { Ok(()) }
    }));
    if begin != Begin::Now {
        return begin.wait(cx.waker());
    }
    *turn = None;
    Poll::Ready(ran)
}

/// Calls it in the guest, which is locked.
#[inline]
fn run<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    args: &mut Option<X::Args>,
    output: &mut Option<X::Output>,
) -> Thin<()> {
    let args = args.take().ok_or(Error::CallEnded)?;
    if let Some(parking) = start(target, guest, MaySuspend::PlainExport, args, output)? {
        // Its import is refused before it does anything, so this is not to be expected.
        cycle::discard(&mut guest.vm, parking.key);
        guest.vm.rt().run.ended.push(parking.pending);
        return Err(Error::out_of_step("it suspended".to_owned()).into());
    }
    Ok(())
}
