//! Calls of the guest from inside a host function.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wasmtime::{AsContextMut, StoreContextMut};

use super::{after_panic, check_poison, check_state, give_up, interpret, poison_after, settle};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::machine::{MaySuspend, Phase};
use crate::shadow_stack::Frame;
use crate::state::State;

/// Calls a function of the guest from the host, which must not suspend, except through a
/// trampoline.
pub(crate) fn nested<T, V>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    if cx.rt().machine.tunnel {
        return tunnel(cx, name, invoke);
    }
    check_poison(cx.rt())?;
    settle(cx)?;
    let frame = cx.enter_stack(false)?;
    let before = cx.replace_may_suspend(MaySuspend::HostFrame);
    // What an import answers meanwhile is the guest's, also where an argument is being made.
    let placed = cx.rt().run.placed.take();
    let passed = cx.rt().run.passed;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(cx.store.as_context_mut())));
    let rt = cx.rt();
    (rt.run.placed, rt.run.passed) = (placed, passed);
    (rt.machine.may_suspend, rt.machine.tunnel) = (before, false);
    match result {
        Ok(Ok(value)) => match check_state(cx, Phase::Normal) {
            Ok(()) => Ok(value),
            Err(error) => Err(abandon(cx, name, frame, error.into())),
        },
        Ok(Err(error)) => {
            let error = interpret(cx, error, false);
            Err(abandon(cx, name, frame, error))
        }
        Err(panic) => Err(go_on(cx, frame, panic)),
    }
}

/// Lets a panic go on, which the host function may catch.
#[cold]
fn go_on<T>(cx: &mut GuestCx<'_, T>, frame: Frame, panic: Box<dyn Any + Send>) -> Error
where
    T: Send + 'static,
{
    after_panic(cx.rt());
    match give_up(cx, frame) {
        Ok(()) => resume_unwind(panic),
        Err(error) => error,
    }
}

/// Puts the guest in order after a call within a run that did not end by itself.
#[cold]
fn abandon<T>(cx: &mut GuestCx<'_, T>, name: &str, frame: Frame, error: Error) -> Error
where
    T: Send + 'static,
{
    let error = poison_after(cx.rt(), name, error);
    give_up(cx, frame).err().unwrap_or(error)
}

/// Calls on through a host function that does nothing else: it may be left while the guest
/// unwinds, and is simply called again when it rewinds.
fn tunnel<T, V>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    // A body that goes on after its call has suspended gets no further.
    if is_unwinding(cx) {
        return Err(Error::Busy);
    }
    check_poison(cx.rt())?;
    let frame = cx.enter_stack(false)?;
    cx.rt().machine.tunnel = false;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(cx.store.as_context_mut())));
    cx.rt().machine.tunnel = true;
    let unwinding = is_unwinding(cx);
    match result {
        // The trampoline sees the phase itself, and answers nothing then.
        Ok(Ok(_)) if unwinding => Err(Error::Busy),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let error = interpret(cx, error, unwinding);
            let named_by_export = error.is_of_host();
            let error = abandon(cx, name, frame, error);
            Err(if named_by_export { error.without_function() } else { error })
        }
        Err(panic) => Err(go_on(cx, frame, panic)),
    }
}

/// Runs a trampoline's body: what it calls may suspend.
pub(crate) fn through<T: Send + 'static, R>(
    cx: &mut GuestCx<'_, T>,
    body: impl FnOnce(&mut GuestCx<'_, T>) -> R,
) -> R {
    let before = std::mem::replace(&mut cx.rt().machine.tunnel, true);
    let answer = body(cx);
    cx.rt().machine.tunnel = before;
    answer
}

/// Whether the guest leaves its frames.
pub(crate) fn is_unwinding<T: Send + 'static>(cx: &mut GuestCx<'_, T>) -> bool {
    cx.rt().machine.phase() == Phase::Unwinding
}
