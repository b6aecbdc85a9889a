//! A mock's call: a guest's call, with its values in the types that the test asked for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::Val;

use super::GuestValues;
use crate::error::{Error, Result};
use crate::guest::Call;

/// A call of an import, made by [`Mock::call`](super::Mock::call).
///
/// It is a [`Call`]: nothing runs before it is polled, and dropping it cancels it.
///
/// ```
/// use asyncify::testing::Mock;
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     async fn wait(&self) -> u32 { std::future::pending().await }
/// }
///
/// # futures::executor::block_on(async {
/// let mock = Mock::new(Host).await?;
/// let mut call = mock.call::<_, u32>("env", "wait", ());
/// assert!(futures::poll!(&mut call).is_pending());
/// assert_eq!(mock.guest().stats().await?.parked_calls, 1);
/// drop(call);
/// assert_eq!(mock.guest().stats().await?.parked_calls, 0);
/// # Ok::<(), asyncify::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct MockCall<R> {
    stage: Stage,
    read: fn(&[Val]) -> Option<R>,
}

enum Stage {
    /// It cannot be made; `None` once that has been told.
    Refused(Option<Error>),
    Made(Call<Vec<Val>>),
}

impl<R> MockCall<R> {
    pub(super) fn new(made: Result<Call<Vec<Val>>>, read: fn(&[Val]) -> Option<R>) -> Self {
        let stage = match made {
            Ok(call) => Stage::Made(call),
            Err(error) => Stage::Refused(Some(error)),
        };
        Self { stage, read }
    }

    /// Answers the import with `answer` in place of its future, which is dropped: as
    /// [`Call::cancel`].
    ///
    /// # Errors
    /// [`Error::NotParked`] if the call does not wait in the import.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")]
    /// # impl Host {
    /// #     async fn wait(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::new(Host).await?;
    /// let mut call = mock.call::<_, u32>("env", "wait", ());
    /// assert!(futures::poll!(&mut call).is_pending());
    /// call.cancel(7)?;
    /// assert_eq!(call.await?, 7);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn cancel(&mut self, answer: impl GuestValues) -> Result<()> {
        let mut vals = Vec::new();
        answer.append_to(&mut vals);
        match &mut self.stage {
            Stage::Made(call) => call.cancel(&vals),
            Stage::Refused(_) => Err(Error::NotParked { function: "the import".to_owned() }),
        }
    }
}

impl<R> Future for MockCall<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let vals = match &mut self.stage {
            Stage::Refused(error) => Err(error.take().unwrap_or(Error::CallEnded)),
            Stage::Made(call) => std::task::ready!(Pin::new(call).poll(cx)),
        };
        // The types were compared before the call was made.
        Poll::Ready(vals.and_then(|vals| (self.read)(&vals).ok_or(Error::CallEnded)))
    }
}

impl<R> fmt::Debug for MockCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Stage::Refused(error) => f.debug_tuple("MockCall").field(error).finish(),
            Stage::Made(call) => f.debug_tuple("MockCall").field(call).finish(),
        }
    }
}
