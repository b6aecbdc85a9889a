//! Calls of the guest from inside a host function.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wasmtime::{AsContextMut, StoreContextMut};

use super::{check_poison, interpret, poison, settle};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::machine::{MaySuspend, Phase};
use crate::state::State;

/// Calls a function of the guest from the host, which must not suspend, except through a
/// trampoline.
pub(crate) fn nested<T, V>(
    cx: &mut GuestCx<'_, T>,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    if cx.rt().machine.tunnel {
        return tunnel(cx, invoke);
    }
    check_poison(cx.rt())?;
    settle(cx)?;
    let before = cx.replace_may_suspend(MaySuspend::HostFrame);
    let frame = cx.enter_stack(false)?;
    let result = catch_unwind(AssertUnwindSafe(|| invoke(cx.store.as_context_mut())));
    cx.replace_may_suspend(before);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let error = interpret(cx, error, false);
            cx.abandon_stack(frame)?;
            let rt = cx.rt();
            if rt.trap_poisons && error.is_guest_trap() {
                poison(rt, &error.to_string());
            }
            Err(error)
        }
        Err(panic) => {
            cx.abandon_stack(frame)?;
            resume_unwind(panic)
        }
    }
}

/// Calls on through a host function that does nothing else: it may be left while the guest
/// unwinds, and is simply called again when it rewinds.
fn tunnel<T, V>(
    cx: &mut GuestCx<'_, T>,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<V>,
) -> Result<V>
where
    T: Send + 'static,
{
    cx.rt().machine.tunnel = false;
    let result = invoke(cx.store.as_context_mut());
    cx.rt().machine.tunnel = true;
    match result {
        // The trampoline sees the phase itself, and answers nothing then.
        Ok(_) if is_unwinding(cx) => Err(Error::Busy),
        Ok(value) => Ok(value),
        Err(error) => {
            let unwinding = is_unwinding(cx);
            Err(interpret(cx, error, unwinding))
        }
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
