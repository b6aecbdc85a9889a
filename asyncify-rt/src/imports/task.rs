//! An import's future while it runs, and its answer until the guest is rewound.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime::Val;

use super::ImportInfo;
use crate::error::{Error, Result, Trap};
use crate::lock::Holder;
use crate::state::Pending;

/// Polls a future inside its import: what it asks of the guest in there is to wait.
#[inline]
fn poll_inside<F: Future + ?Sized>(
    future: Pin<&mut F>,
    waker: &Waker,
    holder: &Holder,
) -> Poll<F::Output> {
    /// Ends also when the future panics.
    struct Polling<'a>(&'a Holder);
    impl Drop for Polling<'_> {
        fn drop(&mut self) {
            self.0.set_polling(false);
        }
    }
    holder.set_polling(true);
    let _polling = Polling(holder);
    future.poll(&mut Context::from_waker(waker))
}

/// A typed import's. It is kept and filled again, so that a call allocates nothing.
pub(crate) struct Task<H, Fut: Future, X> {
    import: &'static ImportInfo,
    future: Pin<Box<Option<Fut>>>,
    /// The future's output, until the guest is rewound.
    output: Option<Fut::Output>,
    /// The host, while no future holds it: taking it from here counts nothing.
    pub(crate) host: Option<Arc<H>>,
    /// The out-pointer, while the call is parked.
    pub(crate) out: Option<X>,
}

impl<H, Fut, X> Task<H, Fut, X>
where
    H: Send + Sync + 'static,
    Fut: Future<Output: Send> + Send + 'static,
    X: Send + 'static,
{
    /// The task of the import with this index, made when there is none.
    #[inline]
    pub(crate) fn in_place<'a>(
        tasks: &'a mut Vec<Option<Box<dyn Pending>>>,
        index: usize,
        import: &'static ImportInfo,
    ) -> Result<&'a mut Self> {
        if !matches!(tasks.get(index), Some(Some(_))) {
            Self::make(tasks, index, import);
        }
        Self::kept(tasks, index).ok_or_else(|| Error::out_of_step("a task is gone".to_owned()))
    }

    #[cold]
    fn make(tasks: &mut Vec<Option<Box<dyn Pending>>>, index: usize, import: &'static ImportInfo) {
        if tasks.len() <= index {
            tasks.resize_with(index + 1, || None);
        }
        let future = Box::pin(None);
        let task = Self { import, future, output: None, host: None, out: None };
        tasks[index] = Some(Box::new(task));
    }

    /// The task of the import with this index.
    #[inline]
    fn kept(tasks: &mut [Option<Box<dyn Pending>>], index: usize) -> Option<&mut Self> {
        let task: &mut dyn std::any::Any = &mut **tasks.get_mut(index)?.as_mut()?;
        task.downcast_mut()
    }

    /// Starts a future, and polls it once.
    #[inline]
    pub(crate) fn start(
        &mut self,
        future: Fut,
        waker: &Waker,
        holder: &Holder,
    ) -> Option<Fut::Output> {
        self.future.set(Some(future));
        let future = self.future.as_mut().as_pin_mut()?;
        match poll_inside(future, waker, holder) {
            Poll::Ready(output) => {
                self.future.set(None);
                Some(output)
            }
            Poll::Pending => None,
        }
    }

    /// The output, if the future is ready.
    pub(crate) fn finish(&mut self) -> Option<Fut::Output> {
        self.output.take()
    }
}

impl<H, Fut, X> Pending for Task<H, Fut, X>
where
    H: Send + Sync + 'static,
    Fut: Future<Output: Send> + Send + 'static,
    X: Send + 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(future) = self.future.as_mut().as_pin_mut() {
            self.output = Some(std::task::ready!(future.poll(cx)));
            self.future.set(None);
        }
        Poll::Ready(())
    }

    fn abandon(&mut self) {
        self.future.set(None);
        self.output = None;
    }

    #[inline]
    fn id(&self) -> (&str, &str) {
        self.import.id()
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
    pub(crate) fn answer(self) -> Option<Result<Vec<Val>, Trap>> {
        self.answer
    }
}

impl Pending for DynTask {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(future) = &mut self.future {
            self.answer = Some(std::task::ready!(future.as_mut().poll(cx)));
            self.future = None;
        }
        Poll::Ready(())
    }

    fn abandon(&mut self) {
        self.future = None;
    }

    fn id(&self) -> (&str, &str) {
        (&self.import.0, &self.import.1)
    }
}
