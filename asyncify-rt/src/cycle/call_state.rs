//! What belongs to a call is taken out when it has parked, and put back before it resumes: by the
//! user's code, which may fail and panic as a host function may.

use std::sync::Arc;

use wasmtime::{Global, Val};

use super::fail::{after_panic, check_poison, discard, poison_after};
use super::outcome::{Outcome, gone};
use crate::error::{Boxed, Error, Result, Thin, Trap};
use crate::parts::parked::Key;
use crate::store::{Hooks, Resuming, Saved, Suspended, Vm};

/// A call has parked.
#[inline]
pub(super) fn keep<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
) -> Thin<Outcome> {
    if vm.keeps_call_state() {
        return take_out(vm, name, key, pending);
    }
    Ok(Outcome::Parked { key, pending, saved: None })
}

#[cold]
fn take_out<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
) -> Thin<Outcome> {
    let (taken, pending) = hook(vm, key, pending, Vm::take_call_state)?;
    let taken = taken.and_then(|saved| {
        // Nobody would wake a call that was parked when the guest was poisoned.
        check_poison(vm.rt())?;
        Ok(Box::new(saved))
    });
    match taken {
        Ok(saved) => Ok(Outcome::Parked { key, pending, saved: Some(saved) }),
        Err(error) => Err(end(vm, name, key, pending, error)),
    }
}

/// A call resumes: what is left to be put back into globals, once nothing else runs before it.
#[cold]
pub(super) fn bring_back<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    name: &str,
    key: Key,
    resuming: Resuming,
    saved: Saved,
) -> Thin<(Resuming, Box<[Val]>)> {
    let Resuming { pending, instead } = resuming;
    let (put, pending) = hook(vm, key, pending, |vm| vm.put_back_call_state(saved))?;
    match put {
        Ok(globals) => Ok((Resuming { pending, instead }, globals)),
        Err(error) => Err(end(vm, name, key, pending, error)),
    }
}

/// Ends a parked call that the user's code has refused.
fn end<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
    error: Error,
) -> Boxed {
    let error = poison_after(vm.rt(), name, error);
    discard(vm, key);
    vm.rt().run.ended.push(pending);
    error.into()
}

/// Runs the user's code for a call that is parked.
fn hook<'b, T: Send + 'static, R>(
    vm: &mut Vm<'b, T>,
    key: Key,
    pending: Suspended,
    code: impl FnOnce(&mut Vm<'b, T>) -> Result<R, Trap>,
) -> Thin<(Result<R>, Suspended)> {
    let mut hooking = Hooking { vm, key, pending: Some(pending) };
    let result = code(hooking.vm).map_err(Trap::into_error);
    Ok((result, hooking.pending.take().ok_or_else(gone)?))
}

/// Ends the call while a panic passes: it has its import then, and only then.
struct Hooking<'a, 'b, T: Send + 'static> {
    vm: &'a mut Vm<'b, T>,
    key: Key,
    pending: Option<Suspended>,
}

impl<T: Send + 'static> Drop for Hooking<'_, '_, T> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            after_panic(self.vm.rt());
            discard(self.vm, self.key);
            self.vm.rt().run.ended.push(pending);
        }
    }
}

impl<T: Send + 'static> Vm<'_, T> {
    pub(crate) fn keeps_call_state(&self) -> bool {
        self.store.data().per_call.is_some()
    }

    fn call_global(&self, index: usize) -> Option<(Global, Val)> {
        self.store.data().per_call.as_ref()?.globals.get(index).copied()
    }

    fn hooks(&self) -> Option<Arc<dyn Hooks<T>>> {
        self.store.data().per_call.as_ref()?.hooks.clone()
    }

    /// A new call begins.
    #[cold]
    pub(crate) fn begin_call_state(&mut self) -> Result<()> {
        let mut index = 0;
        while let Some((global, first)) = self.call_global(index) {
            global.set(&mut self.store, first).map_err(Error::engine)?;
            index += 1;
        }
        Ok(())
    }

    /// Takes out what belongs to the call that has parked.
    pub(crate) fn take_call_state(&mut self) -> Result<Saved, Trap> {
        let mut globals = Vec::new();
        while let Some((global, _)) = self.call_global(globals.len()) {
            globals.push(global.get(&mut self.store));
        }
        // Not before: what it calls of the guest may change them.
        let hooked = self.hooks().map(|hooks| hooks.park(self)).transpose()?;
        Ok(Saved { globals: globals.into(), hooked })
    }

    /// Puts back what stands in memory. The globals come last, when nothing runs any more before
    /// the call.
    pub(crate) fn put_back_call_state(&mut self, saved: Saved) -> Result<Box<[Val]>, Trap> {
        if let (Some(hooks), Some(hooked)) = (self.hooks(), saved.hooked) {
            hooks.resume(self, hooked)?;
        }
        Ok(saved.globals)
    }

    pub(crate) fn put_back_call_globals(&mut self, values: &[Val]) -> Result<()> {
        for (index, value) in values.iter().enumerate() {
            if let Some((global, _)) = self.call_global(index) {
                global.set(&mut self.store, *value).map_err(Error::engine)?;
            }
        }
        Ok(())
    }
}
