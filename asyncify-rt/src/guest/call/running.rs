//! A call on its way: started, parked, resumed, ended.

use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::{StoreContextMut, Val};

use super::parked::Parked;
use super::start::{Converting, start};
use super::target::Target;
use crate::cx::GuestCx;
use crate::cycle::{self, Outcome};
use crate::error::{Error, Result, Thin};
use crate::parts::machine::MaySuspend;
use crate::parts::nesting;
use crate::parts::turns::{Begin, Turn};
use crate::store::{Resuming, State};
use crate::trace::CallSpan;

/// A call, whatever it calls.
pub(super) trait Body<R>: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R>>;
    fn cancel(&mut self, answer: &[Val]) -> Result<()>;
    fn stage(&self) -> &'static str;
}

pub(super) struct Running<T: Send + 'static, X: Target<T>> {
    target: Arc<X>,
    progress: Progress<X::Args, X::Kept>,
}

/// How far a call is. It is changed in place and never moved while the call goes on: moving what
/// was written just before stalls a processor.
pub(super) struct Progress<A, K> {
    /// What to start with; `None` once it has started.
    args: Option<A>,
    /// Where it is parked; `None` before it parks and when it has ended.
    parked: Option<Parked<K>>,
    /// Its place where calls take turns whole, from its first poll to its end.
    turn: Option<Box<Turn>>,
    span: CallSpan,
}

impl<T: Send + 'static, X: Target<T>> Running<T, X> {
    pub(super) fn boxed(target: Arc<X>, args: X::Args) -> Box<Self> {
        // The box comes first: what is written elsewhere just before it is moved stalls a processor.
        let place = Box::<Self>::new_uninit();
        let span = CallSpan::new(target.name());
        let progress = Progress { args: Some(args), parked: None, turn: None, span };
        Box::write(place, Self { target, progress })
    }
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
            self.span.parked(guest.vm.rt(), parked.key, &*parked.pending);
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
            let error = cycle::take_dead(&mut guest.vm, parked.key);
            if let Some(extra) = &parked.extra {
                guest.vm.free_all(&extra.placed);
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
                cycle::discard(&mut guest.vm, parked.key);
                Err(Error::CallEnded.into())
            }
            Some(pending) => {
                self.span.resumed(guest.vm.rt(), parked.key, &*pending);
                let (instead, saved) = match &mut parked.extra {
                    Some(extra) => (extra.instead.take(), extra.saved.take()),
                    None => (None, None),
                };
                let resuming = Resuming { pending, instead };
                cycle::resume(&mut guest.vm, target.name(), parked.key, resuming, saved, invoke)
            }
        };
        let ended = match ran {
            Ok(Outcome::Parked { key, pending, saved }) => {
                self.span.parked(guest.vm.rt(), key, &*pending);
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
        guest.vm.free_all(&placed);
        *output = finished?;
        Ok(())
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
        let ran = target.guest().poll_with(cx, |vm| {
            begin = progress.turn.as_mut().map_or(Begin::Now, |turn| turn.begin());
            if begin != Begin::Now {
                return Ok(());
            }
            progress.run(&**target, &mut GuestCx::new(vm), &mut output)
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
    #[inline]
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
