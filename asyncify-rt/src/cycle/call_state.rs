//! What belongs to a call is taken out when it has parked, and put back before it resumes: by the
//! user's code, which may fail and panic as a host function may.

use wasmtime::Val;

use super::{Outcome, after_panic, check_poison, discard, gone, poison_after};
use crate::call_state::Saved;
use crate::cx::GuestCx;
use crate::error::{Boxed, Error, Result, Thin, Trap};
use crate::parked::Key;
use crate::state::{Resuming, Suspended};

/// A call has parked.
#[inline]
pub(super) fn keep<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
) -> Thin<Outcome> {
    if cx.keeps_call_state() {
        return take_out(cx, name, key, pending);
    }
    Ok(Outcome::Parked { key, pending, saved: None })
}

#[cold]
fn take_out<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
) -> Thin<Outcome> {
    let (taken, pending) = hook(cx, key, pending, GuestCx::take_call_state)?;
    let taken = taken.and_then(|saved| {
        // Nobody would wake a call that was parked when the guest was poisoned.
        check_poison(cx.rt())?;
        Ok(Box::new(saved))
    });
    match taken {
        Ok(saved) => Ok(Outcome::Parked { key, pending, saved: Some(saved) }),
        Err(error) => Err(end(cx, name, key, pending, error)),
    }
}

/// A call resumes: what is left to be put back into globals, once nothing else runs before it.
#[cold]
pub(super) fn bring_back<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    key: Key,
    resuming: Resuming,
    saved: Saved,
) -> Thin<(Resuming, Box<[Val]>)> {
    let Resuming { pending, instead } = resuming;
    let (put, pending) = hook(cx, key, pending, |cx| cx.put_back_call_state(saved))?;
    match put {
        Ok(globals) => Ok((Resuming { pending, instead }, globals)),
        Err(error) => Err(end(cx, name, key, pending, error)),
    }
}

/// Ends a parked call that the user's code has refused.
fn end<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    key: Key,
    pending: Suspended,
    error: Error,
) -> Boxed {
    let error = poison_after(cx.rt(), name, error);
    discard(cx, key);
    cx.rt().run.ended.push(pending);
    error.into()
}

/// Runs the user's code for a call that is parked.
fn hook<'b, T: Send + 'static, R>(
    cx: &mut GuestCx<'b, T>,
    key: Key,
    pending: Suspended,
    code: impl FnOnce(&mut GuestCx<'b, T>) -> Result<R, Trap>,
) -> Thin<(Result<R>, Suspended)> {
    let mut hooking = Hooking { cx, key, pending: Some(pending) };
    let result = code(hooking.cx).map_err(Trap::into_error);
    Ok((result, hooking.pending.take().ok_or_else(gone)?))
}

/// Ends the call while a panic passes: it has its import then, and only then.
struct Hooking<'a, 'b, T: Send + 'static> {
    cx: &'a mut GuestCx<'b, T>,
    key: Key,
    pending: Option<Suspended>,
}

impl<T: Send + 'static> Drop for Hooking<'_, '_, T> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            after_panic(self.cx.rt());
            discard(self.cx, self.key);
            self.cx.rt().run.ended.push(pending);
        }
    }
}
