//! What a call that is parked waits for, and where its record is.

use std::task::{Context, Poll};

use wasmtime::Val;

use crate::cx::GuestCx;
use crate::parts::memory::Slice;
use crate::parts::nesting;
use crate::parts::parked::Key;
use crate::parts::waker::{Kept, Mark};
use crate::store::{Inner, Saved, Suspended};

pub(super) struct Parked<K> {
    pub(super) key: Key,
    /// The import that it waits in; `None` while the guest runs.
    pub(super) pending: Option<Suspended>,
    /// Whether the import can be answered.
    pub(super) answered: bool,
    /// [`Holder::poisonings`](crate::lock::Holder) when the call parked.
    pub(super) poisonings: u32,
    pub(super) kept: K,
    /// The waker that the record holds.
    pub(super) waker: Mark,
    pub(super) extra: Option<Box<Extra>>,
}

/// What not every parked call has. There may be very many of them, so it is out of the way.
#[derive(Default)]
pub(super) struct Extra {
    /// The answer to give instead of the import's.
    pub(super) instead: Option<Box<[Val]>>,
    /// What was placed in the guest for the arguments.
    pub(super) placed: Box<[Slice]>,
    /// What the call has of its own in the guest, taken out of there.
    pub(super) saved: Option<Box<Saved>>,
}

impl<K> Parked<K> {
    pub(super) fn new<T: Send + 'static>(guest: &mut GuestCx<'_, T>, parking: Parking<K>) -> Self {
        let Parking { key, pending, kept, placed, saved } = parking;
        let poisonings = guest.vm.rt().holder.poisonings();
        let (pending, waker) = (Some(pending), guest.vm.rt().run.waker.mark());
        let has_extra = !placed.is_empty() || saved.is_some();
        let extra =
            has_extra.then(|| Box::new(Extra { instead: None, placed: placed.into(), saved }));
        Self { key, pending, answered: false, poisonings, kept, waker, extra }
    }

    /// Parks again.
    #[inline]
    pub(super) fn again<T: Send + 'static>(
        &mut self,
        guest: &mut GuestCx<'_, T>,
        key: Key,
        pending: Suspended,
        saved: Option<Box<Saved>>,
    ) {
        if saved.is_some() {
            self.extra.get_or_insert_default().saved = saved;
        }
        self.key = key;
        self.pending = Some(pending);
        self.answered = false;
        self.waker = guest.vm.rt().run.waker.mark();
        self.poisonings = guest.vm.rt().holder.poisonings();
    }

    /// Whether the guest is needed: to answer the import, or to tell why that cannot be.
    #[inline]
    pub(super) fn poll<T: Send + 'static>(
        &mut self,
        guest: &Inner<T>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if !self.waker.fits(cx.waker()) {
            let (clone, mark) = Kept::new(cx.waker()).into_parts();
            self.waker = mark;
            guest.mail_waker(self.key, clone);
        }
        if let Some(pending) = &mut self.pending
            && !self.answered
            && guest.poisonings() == self.poisonings
        {
            std::task::ready!(nesting::within(|| pending.as_mut().poll(cx)));
            self.answered = true;
        }
        Poll::Ready(())
    }
}

/// A call that parks for the first time.
pub(crate) struct Parking<K> {
    pub(crate) key: Key,
    pub(crate) pending: Suspended,
    pub(super) kept: K,
    /// What was placed in the guest for the arguments.
    pub(super) placed: Vec<Slice>,
    pub(super) saved: Option<Box<Saved>>,
}
