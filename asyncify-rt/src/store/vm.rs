//! The raw hand on a guest that is locked: its store, the runtime's side of it, its memory.

use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, Extern, Store, StoreContextMut};

use super::{Inner, Runtime, State};
use crate::error::{Error, Result};
use crate::parts::machine::MaySuspend;

pub(crate) struct Vm<'a, T: Send + 'static> {
    pub(crate) store: StoreContextMut<'a, State<T>>,
}

impl<'a, T: Send + 'static> Vm<'a, T> {
    #[inline]
    pub(crate) fn new(store: StoreContextMut<'a, State<T>>) -> Self {
        Self { store }
    }

    /// The guest that calls the host.
    #[inline]
    pub(crate) fn calling(caller: &'a mut Caller<'_, State<T>>) -> Self {
        if caller.data().rt.machine.may_suspend == MaySuspend::Start {
            find_memory(caller);
        }
        Self::new(caller.as_context_mut())
    }

    #[inline]
    pub(crate) fn of(store: &'a mut Store<State<T>>) -> Self {
        Self { store: store.as_context_mut() }
    }

    /// The same hand, for a while.
    #[inline]
    pub(crate) fn again(&mut self) -> Vm<'_, T> {
        Vm { store: self.store.as_context_mut() }
    }

    #[inline]
    pub(crate) fn rt(&mut self) -> &mut Runtime {
        &mut self.store.data_mut().rt
    }

    #[inline]
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.store.data().rt
    }

    /// The guest's memory; empty if it has none.
    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        match self.runtime().memory {
            Some(memory) => memory.data(&self.store),
            None => &[],
        }
    }

    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        match self.runtime().memory {
            Some(memory) => memory.data_mut(&mut self.store),
            None => &mut [],
        }
    }

    /// The memory, and the runtime's side beside it.
    #[inline]
    pub(crate) fn memory_and_runtime(&mut self) -> (&mut [u8], &mut Runtime) {
        match self.runtime().memory {
            Some(memory) => {
                let (bytes, state) = memory.data_and_store_mut(&mut self.store);
                (bytes, &mut state.rt)
            }
            None => (&mut [], self.rt()),
        }
    }

    pub(crate) fn export(&self, name: &str) -> Option<Extern> {
        self.runtime().exports.get(name).cloned()
    }

    /// The guest itself.
    pub(crate) fn inner(&self) -> Result<Arc<Inner<T>>> {
        self.store.data().guest.upgrade().ok_or(Error::GuestGone)
    }

    /// Gives what runs next the whole budget.
    #[inline]
    pub(crate) fn begin_budget(&mut self) {
        if let Some(budget) = self.runtime().budget {
            budget.begin(&mut self.store);
        }
    }
}

/// A start function runs before the guest is linked: its imports find the memory through it.
#[cold]
fn find_memory<T: Send + 'static>(caller: &mut Caller<'_, State<T>>) {
    if let Some(name) = caller.data().rt.memory_export.clone() {
        // The caller may be another instance of the store, with a memory of its own.
        let memory = caller.get_export(&name).and_then(Extern::into_memory);
        caller.data_mut().rt.memory = memory;
    }
}
