//! An import's future while it runs, and its answer until the guest is rewound.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use wasmtime::Val;

use super::info::ImportInfo;
use crate::error::{Result, Trap};
use crate::parts::lock::Holder;
use crate::parts::nesting::Inside;
use crate::store::{Pending, Suspended};

/// Polls a future inside its import: what it asks of the guest in there is to wait.
#[inline]
fn poll_inside<F: Future + ?Sized>(
    future: Pin<&mut F>,
    waker: &Waker,
    holder: &Holder,
) -> Poll<F::Output> {
    /// Ends also when the future panics.
    struct Polling<'a>(&'a Holder, #[allow(dead_code, reason = "it is dropped")] Inside);
    impl Drop for Polling<'_> {
        fn drop(&mut self) {
            self.0.set_polling(false);
        }
    }
    holder.set_polling(true);
    let _polling = Polling(holder, Inside::enter());
    future.poll(&mut Context::from_waker(waker))
}

pin_project! {
    /// A typed import's. It is kept and filled again, so that a call allocates nothing; while a
    /// call waits it is all that it waits in, in one place.
    pub(crate) struct Task<H, Fut: Future, X> {
        import: &'static ImportInfo,
        #[pin]
        future: Option<Fut>,
        // The future's output, until the guest is rewound.
        output: Option<Fut::Output>,
        // The host, while no future holds it: taking it from here counts nothing.
        host: Option<Arc<H>>,
        // The out-pointer, while the call is parked.
        out: Option<X>,
    }
}

/// Where an import's task is while no call waits in it.
pub(crate) type Place<H, Fut, X> = Option<Pin<Box<Task<H, Fut, X>>>>;

/// Takes back what waits in an import.
pub(crate) fn take_back<P: 'static>(pending: Suspended) -> Option<Pin<Box<P>>> {
    let mut place = None;
    pending.give(&mut place);
    place
}

impl<H, Fut, X> Task<H, Fut, X>
where
    H: Send + Sync + 'static,
    Fut: Future<Output: Send> + Send + 'static,
    X: Send + 'static,
{
    #[cold]
    pub(crate) fn make(import: &'static ImportInfo) -> Pin<Box<Self>> {
        Box::pin(Self { import, future: None, output: None, host: None, out: None })
    }

    /// The host, if the task has it.
    #[inline]
    pub(crate) fn take_host(self: Pin<&mut Self>) -> Option<Arc<H>> {
        self.project().host.take()
    }

    #[inline]
    pub(crate) fn keep_host(self: Pin<&mut Self>, host: Arc<H>) {
        *self.project().host = Some(host);
    }

    pub(crate) fn keep_out(self: Pin<&mut Self>, out: X) {
        *self.project().out = Some(out);
    }

    /// Starts a future, and polls it once.
    #[inline]
    pub(crate) fn start(
        self: Pin<&mut Self>,
        future: Fut,
        waker: &Waker,
        holder: &Holder,
    ) -> Option<Fut::Output> {
        let mut place = self.project().future;
        place.set(Some(future));
        match poll_inside(place.as_mut().as_pin_mut()?, waker, holder) {
            Poll::Ready(output) => {
                place.set(None);
                Some(output)
            }
            Poll::Pending => None,
        }
    }

    /// The output and the out-pointer, if the future is ready.
    pub(crate) fn finish(self: Pin<&mut Self>) -> Option<(Fut::Output, X)> {
        let task = self.project();
        task.output.take().zip(task.out.take())
    }
}

impl<H, Fut, X> Pending for Task<H, Fut, X>
where
    H: Send + Sync + 'static,
    Fut: Future<Output: Send> + Send + 'static,
    X: Send + 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut task = self.project();
        if let Some(future) = task.future.as_mut().as_pin_mut() {
            *task.output = Some(std::task::ready!(future.poll(cx)));
            task.future.set(None);
        }
        Poll::Ready(())
    }

    fn abandon(self: Pin<&mut Self>) {
        let mut task = self.project();
        task.future.set(None);
        *task.output = None;
    }

    #[inline]
    fn id(&self) -> (&str, &str) {
        self.import.id()
    }

    fn give(self: Pin<Box<Self>>, place: &mut dyn Any) {
        if let Some(place) = place.downcast_mut() {
            *place = Some(self);
        }
    }
}

type DynFuture = Pin<Box<dyn Future<Output = Result<Vec<Val>, Trap>> + Send>>;

/// A dynamic import's.
pub(crate) struct DynTask {
    import: Arc<(String, String)>,
    future: Option<DynFuture>,
    answer: Option<Result<Vec<Val>, Trap>>,
}

impl DynTask {
    pub(crate) fn new(import: &Arc<(String, String)>, future: DynFuture) -> Self {
        Self { import: Arc::clone(import), future: Some(future), answer: None }
    }

    /// Polls the future once.
    pub(crate) fn start(
        &mut self,
        waker: &Waker,
        holder: &Holder,
    ) -> Option<Result<Vec<Val>, Trap>> {
        match poll_inside(self.future.as_mut()?.as_mut(), waker, holder) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// The answer, if the future was ready.
    pub(crate) fn answer(&mut self) -> Option<Result<Vec<Val>, Trap>> {
        self.answer.take()
    }
}

impl Pending for DynTask {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(future) = &mut self.future {
            self.answer = Some(std::task::ready!(future.as_mut().poll(cx)));
            self.future = None;
        }
        Poll::Ready(())
    }

    fn abandon(mut self: Pin<&mut Self>) {
        self.future = None;
    }

    fn id(&self) -> (&str, &str) {
        (&self.import.0, &self.import.1)
    }
    fn give(self: Pin<Box<Self>>, place: &mut dyn Any) {
        if let Some(place) = place.downcast_mut() {
            *place = Some(self);
        }
    }
}
