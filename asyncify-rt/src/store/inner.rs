//! A guest itself, which all handles share: its store behind a lock, and what is reached without it.

use std::sync::Arc;
use std::task::{Poll, Waker};

use wasmtime::{Extern, ExternType, Store};

use super::State;
use crate::error::{Error, Result, Thin};
use crate::parts::lock::{Holder, Lock};
use crate::parts::mail::Mailbox;
use crate::parts::memory::Slice;
use crate::parts::nesting::Around;
use crate::parts::parked::Key;
use crate::parts::turns::{Turn, Turns};

pub(crate) struct Inner<T: Send + 'static> {
    pub(crate) lock: Lock<Store<State<T>>>,
    pub(crate) holder: Arc<Holder>,
    pub(crate) mail: Arc<Mailbox>,
    /// Whose turn it is, where calls take turns whole.
    pub(crate) turns: Option<Arc<Turns>>,
    /// What the module itself exports: neither Asyncify's functions nor what was added.
    pub(crate) exports: Vec<Export>,
}

/// An export of the guest.
pub(crate) struct Export {
    pub(crate) name: Arc<str>,
    pub(crate) item: Extern,
    pub(crate) ty: ExternType,
}

impl<T: Send + 'static> Inner<T> {
    /// What `get` finds in the export `name`.
    pub(crate) fn find<X>(
        &self,
        kind: &'static str,
        name: &str,
        get: impl Fn(&Export) -> Option<X>,
    ) -> Result<X> {
        let found = self.exports.iter().find(|export| &*export.name == name);
        found.and_then(&get).ok_or_else(|| {
            let of_kind = self.exports.iter().filter(|export| get(export).is_some());
            let present = of_kind.map(|export| export.name.to_string()).collect();
            Error::NoSuchExport { kind, name: name.to_owned(), present }
        })
    }

    /// Whether its calls take turns whole.
    #[inline]
    pub(crate) fn takes_turns(&self) -> bool {
        self.turns.is_some()
    }

    /// Gives a call that is polled a place among those that take turns whole, if they do: they
    /// know that it is polled as long as what is returned is there. One that is over needs none.
    #[inline]
    pub(crate) fn take_place(
        &self,
        turn: &mut Option<Box<Turn>>,
        is_over: impl FnOnce() -> bool,
    ) -> Option<Around> {
        let turns = self.turns.as_ref().filter(|_| !is_over())?;
        Some(turn.get_or_insert_with(|| Box::new(turns.enter())).around())
    }

    /// Whether a call may lock the guest, by its turn.
    #[inline]
    pub(crate) fn poll_turn(&self, turn: &mut Option<Box<Turn>>, waker: &Waker) -> Poll<Thin<()>> {
        if let Some(turn) = turn
            && turn.poll(waker).is_pending()
        {
            if self.holder.blocks() {
                return Poll::Ready(Err(Error::Reentered.into()));
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poisonings(&self) -> u32 {
        self.holder.poisonings()
    }

    pub(crate) fn mail_waker(&self, key: Key, waker: Waker) {
        drop(self.mail.open(|letters| letters.wakers.insert(key, waker)));
    }

    pub(crate) fn mail_dropped(&self, key: Key, placed: Box<[Slice]>) {
        self.mail.open(|letters| letters.dropped.push((key, placed)));
    }
}
