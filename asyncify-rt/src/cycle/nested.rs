//! Calls of the guest from inside a host function.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wasmtime::{AsContextMut, StoreContextMut, TypedFunc, WasmParams, WasmResults};

use super::fail::{after_panic, check_poison, give_up, interpret, poison_after};
use super::import::enter_plain;
use crate::error::{Error, Result, Thin};
use crate::parts::machine::{Kind, MaySuspend};
use crate::parts::shadow::Frame;
use crate::store::{Runtime, State, Vm};
use crate::suspend;

impl<T: Send + 'static> Vm<'_, T> {
    /// Calls a function that must not suspend, from the host.
    pub(crate) fn nested<P, R>(
        &mut self,
        name: &str,
        func: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        nested(self, name, |store| func.call(store, params))
    }
}

/// Calls a function of the guest from the host, which must not suspend, except through a
/// trampoline.
fn nested<T, V>(
    vm: &mut Vm<'_, T>,
    name: &str,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    if vm.rt().machine.tunnel {
        return tunnel(vm, name, invoke);
    }
    check_poison(vm.rt())?;
    suspend::settle(vm)?;
    let frame = vm.enter_stack(false)?;
    let before = std::mem::replace(&mut vm.rt().machine.may_suspend, MaySuspend::HostFrame);
    // What an import answers meanwhile is the guest's, also where an argument is being made.
    let placed = vm.rt().run.placed.take();
    let passed = vm.rt().run.passed;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(vm.store.as_context_mut())));
    let rt = vm.rt();
    (rt.run.placed, rt.run.passed) = (placed, passed);
    (rt.machine.may_suspend, rt.machine.tunnel) = (before, false);
    match result {
        Ok(Ok(value)) => match suspend::check_ended(vm) {
            Ok(()) => Ok(value),
            Err(error) => Err(abandon(vm, name, frame, error.into())),
        },
        Ok(Err(error)) => {
            let error = interpret(vm, error, false);
            Err(abandon(vm, name, frame, error))
        }
        Err(panic) => Err(go_on(vm, frame, panic)),
    }
}

/// Lets a panic go on, which the host function may catch.
#[cold]
fn go_on<T>(vm: &mut Vm<'_, T>, frame: Frame, panic: Box<dyn Any + Send>) -> Error
where
    T: Send + 'static,
{
    after_panic(vm.rt());
    match give_up(vm, frame) {
        Ok(()) => resume_unwind(panic),
        Err(error) => error,
    }
}

/// Puts the guest in order after a call within a run that did not end by itself.
#[cold]
fn abandon<T>(vm: &mut Vm<'_, T>, name: &str, frame: Frame, error: Error) -> Error
where
    T: Send + 'static,
{
    let error = poison_after(vm.rt(), name, error);
    give_up(vm, frame).err().unwrap_or(error)
}

/// Calls on through a host function that does nothing else: it may be left while the guest
/// unwinds, and is simply called again when it rewinds.
fn tunnel<T, V>(
    vm: &mut Vm<'_, T>,
    name: &str,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    // A body that goes on after its call has suspended gets no further.
    if suspend::is_suspending(vm.rt()) {
        return Err(Error::Busy);
    }
    check_poison(vm.rt())?;
    let frame = vm.enter_stack(false)?;
    suspend::bring_frames_back(vm)?;
    vm.rt().machine.tunnel = false;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(vm.store.as_context_mut())));
    let unwinding = suspend::is_suspending(vm.rt());
    // What has returned is not called again when the guest is rewound. A further call must not
    // suspend: its frames would come back into the first one.
    vm.rt().machine.tunnel = unwinding;
    if result.as_ref().is_ok_and(Result::is_ok)
        && let Err(error) = suspend::set_frames_aside(vm)
    {
        return Err(abandon(vm, name, frame, error.into()));
    }
    match result {
        // The trampoline sees the phase itself, and answers nothing then.
        Ok(Ok(_)) if unwinding => Err(Error::Busy),
        // What it does in this state is not what it was called for.
        Ok(Ok(_)) if suspend::is_resuming(vm.rt()) => {
            let error = suspend::never_reached(vm.rt());
            Err(abandon(vm, name, frame, error))
        }
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let error = interpret(vm, error, unwinding);
            let named_by_export = error.is_of_host();
            let error = abandon(vm, name, frame, error);
            Err(if named_by_export { error.without_function() } else { error })
        }
        Err(panic) => Err(go_on(vm, frame, panic)),
    }
}

/// A trampoline is entered: from here on the host looks at the guest's memory.
#[inline]
pub(crate) fn enter_trampoline<'i, T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    import: impl FnOnce() -> (&'i str, &'i str),
) -> Thin<()> {
    enter_plain(vm.runtime(), Kind::Trampoline, import)?;
    suspend::set_frames_aside(vm)
}

/// A trampoline is left: the guest goes on to leave its frames, or to enter them.
#[inline]
pub(crate) fn leave_trampoline<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    suspend::bring_frames_back(vm)
}

/// What a trampoline's body calls may suspend, or not any more: whether it might before.
pub(crate) fn let_through(rt: &mut Runtime, tunnel: bool) -> bool {
    std::mem::replace(&mut rt.machine.tunnel, tunnel)
}
