//! The guest is locked for a while: letters are read first, and what ended goes when it is free.

use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use wasmtime::Store;

use super::fail::discard;
use crate::error::{Error, Result, Thin};
use crate::parts::lock::{self, Held};
use crate::parts::mail::{Letters, Mailbox};
use crate::store::{Inner, State, Vm};

impl<T: Send + 'static> Inner<T> {
    /// Locks the guest, if it is free.
    pub(crate) fn try_lock(&self) -> Result<Guard<'_, T>> {
        let mut guard = match self.lock.try_lock() {
            Ok(guard) => Guard(guard),
            Err(Held::Within) => return Err(Error::Reentered),
            Err(Held::Elsewhere) => return Err(Error::Busy),
        };
        guard.begin(&self.mail);
        Ok(guard)
    }

    #[inline]
    pub(crate) fn poll_lock(&self, cx: &mut Context<'_>) -> Poll<Thin<Guard<'_, T>>> {
        match self.lock.poll_lock(cx) {
            Poll::Ready(Ok(guard)) => {
                let mut guard = Guard(guard);
                guard.begin(&self.mail);
                Poll::Ready(Ok(guard))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Error::Reentered.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Hands the guest to `f`, whose imports are polled with this waker, or wakes when no other call
    /// runs in it.
    #[inline]
    pub(crate) fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnOnce(Vm<'_, T>) -> R,
    ) -> Poll<Thin<R>> {
        let (mail, waker) = (&self.mail, cx.waker());
        // Outlives the lock.
        let mut ended = Vec::new();
        let polled = self.lock.poll_with(&mut Context::from_waker(waker), |store| {
            begin(store, mail);
            // Before `f` changes anything: this may drop the last clone of a waker, which may panic.
            store.data_mut().rt.run.waker.keep(waker);
            let answer = f(Vm::of(store));
            let left = &mut store.data_mut().rt.run.ended;
            if !left.is_empty() {
                ended = std::mem::take(left);
            }
            answer
        });
        drop(ended);
        polled.map_err(|_| Error::Reentered.into())
    }
}

/// The guest's lock, held; what was left for its holder has been dealt with.
pub(crate) struct Guard<'a, T: Send + 'static>(lock::Guard<'a, Store<State<T>>>);

impl<T: Send + 'static> Guard<'_, T> {
    #[inline]
    fn begin(&mut self, mail: &Mailbox) {
        begin(&mut self.0, mail);
    }
}

/// Begins a turn: its budget, and what was left to do.
#[inline]
fn begin<T: Send + 'static>(store: &mut Store<State<T>>, mail: &Mailbox) {
    if let Some(letters) = mail.collect() {
        read(&mut Vm::of(store), letters);
    }
    // Not before: what the letters free has a budget of its own.
    Vm::of(store).begin_budget();
}

/// Does what calls asked for when they did not have the lock.
#[cold]
fn read<T: Send + 'static>(vm: &mut Vm<'_, T>, letters: Letters) {
    let Letters { dropped, mut placed, mut wakers } = letters;
    for (key, waker) in &mut wakers {
        if let Some(record) = vm.rt().parked.get_mut(*key) {
            std::mem::swap(&mut record.waker, waker);
        }
    }
    for (key, _) in &dropped {
        discard(vm, *key);
    }
    // What was replaced goes last: to drop a waker may panic, as what follows may.
    drop(wakers);
    // This runs the guest, where an import may panic.
    placed.extend(dropped.into_iter().flat_map(|(_, placed)| placed));
    vm.free_all(&placed);
}

impl<T: Send + 'static> Deref for Guard<'_, T> {
    type Target = Store<State<T>>;
    fn deref(&self) -> &Store<State<T>> {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut Store<State<T>> {
        &mut self.0
    }
}
