//! Calls of the guest from inside a host function.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wasmtime::{AsContextMut, StoreContextMut};

use super::{
    after_panic, check_poison, check_state, enter_plain, give_up, interpret, never_reached,
    poison_after, settle,
};
use crate::cx::GuestCx;
use crate::error::{Error, Result, Thin};
use crate::machine::{Kind, MaySuspend, Phase};
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
    cx.bring_frames_back()?;
    cx.rt().machine.tunnel = false;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(cx.store.as_context_mut())));
    let unwinding = is_unwinding(cx);
    // What has returned is not called again when the guest is rewound. A further call must not
    // suspend: its frames would come back into the first one.
    cx.rt().machine.tunnel = unwinding;
    if result.as_ref().is_ok_and(Result::is_ok)
        && let Err(error) = cx.set_frames_aside()
    {
        return Err(abandon(cx, name, frame, error.into()));
    }
    match result {
        // The trampoline sees the phase itself, and answers nothing then.
        Ok(Ok(_)) if unwinding => Err(Error::Busy),
        // What it does in this state is not what it was called for.
        Ok(Ok(_)) if cx.rt().machine.phase() == Phase::Rewinding => {
            let error = never_reached(cx.rt());
            Err(abandon(cx, name, frame, error))
        }
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

/// A trampoline is entered: from here on the host looks at the guest's memory.
#[inline]
pub(crate) fn enter_trampoline<'i, T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    import: impl FnOnce() -> (&'i str, &'i str),
) -> Thin<()> {
    enter_plain(cx.runtime(), Kind::Trampoline, import)?;
    cx.set_frames_aside()
}

/// A trampoline is left: the guest goes on to leave its frames, or to enter them.
#[inline]
pub(crate) fn leave_trampoline<T: Send + 'static>(cx: &mut GuestCx<'_, T>) -> Thin<()> {
    cx.bring_frames_back()
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
