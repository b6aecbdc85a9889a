//! What a call leaves that did not end by itself: what its error means, what is set back, and whether
//! the guest can be trusted afterwards.

use std::sync::Arc;

use wasmtime::Trap;

use crate::error::{Error, Result, frames_of};
use crate::parts::parked::Key;
use crate::parts::shadow::{Frame, Overrun};
use crate::parts::waker::wake;
use crate::store::{Runtime, Vm};
use crate::suspend;

/// What an error that came out of wasm means.
#[cold]
pub(super) fn interpret<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    error: wasmtime::Error,
    unwinding: bool,
) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return error,
        Err(error) => error,
    };
    let (function, trap) = (String::new(), error.downcast_ref::<Trap>().copied());
    let frames = frames_of(&error);
    let source = error.into();
    match trap {
        None => Error::Host { function, source, poisons: false },
        Some(Trap::StackOverflow) => Error::StackOverflow { function, frames, source },
        Some(Trap::MemoryOutOfBounds)
            if unwinding && let Some(overflow) = suspend::overflow(vm) =>
        {
            overflow
        }
        Some(Trap::UnreachableCodeReached) if let Some(overrun) = vm.overrun() => {
            let Overrun { needed, size, in_region } = overrun;
            Error::ShadowStackOverflow { function, needed, size, in_region, source }
        }
        Some(trap) => {
            let budget = vm.rt().budget.unwrap_or_default();
            let spent = budget.spent(trap, String::new());
            spent.unwrap_or(Error::Trap { function, frames, source })
        }
    }
}

/// Puts the guest in order after a call that did not end by itself.
#[cold]
pub(super) fn fail<T>(vm: &mut Vm<'_, T>, name: &str, frame: Frame, error: Error) -> Error
where
    T: Send + 'static,
{
    let error = poison_after(vm.rt(), name, error);
    restore(vm, frame);
    error
}

/// Forgets the call that ran, and sets back what its frames had changed.
#[cold]
pub(super) fn restore<T: Send + 'static>(vm: &mut Vm<'_, T>, frame: Frame) {
    let rt = vm.rt();
    if let Some(key) = rt.run.key.take() {
        rt.parked.remove(key);
    }
    // These write globals of the guest's own types, which cannot fail.
    if let Err(error) = give_up(vm, frame) {
        poison(vm.rt(), &error.to_string());
    }
}

/// Sets back what frames that are gone had changed. Whoever runs on, as a trampoline that answers
/// for their failure, is neither unwound nor rewound any more.
#[cold]
pub(super) fn give_up<T: Send + 'static>(vm: &mut Vm<'_, T>, frame: Frame) -> Result<()> {
    let run = &mut vm.rt().run;
    run.ended.extend(run.suspended.take());
    run.ended.extend(run.resuming.take().map(|resuming| resuming.pending));
    let resumed = run.key.is_some();
    let given_up = suspend::give_up(vm);
    vm.abandon_stack(frame, resumed)?;
    given_up
}

/// What a panic in a host function leaves behind.
#[cold]
pub(super) fn after_panic(rt: &mut Runtime) {
    poison(rt, "a host function panicked");
    rt.holder.set_polling(false);
    // The future that panicked is in one of them. They are made anew when they are needed.
    rt.tasks.clear();
}

/// Poisons the guest if it cannot be trusted after a run of `name` that ended with `error`.
pub(super) fn poison_after(rt: &mut Runtime, name: &str, mut error: Error) -> Error {
    let passed_on = error.is_passed_on();
    let error = error.in_function(name).with_causes(&rt.causes);
    let poisons = match &error {
        _ if passed_on => rt.host_end_poisons,
        error if error.is_guest_trap() => rt.trap_poisons,
        Error::WindowTooSmall { poisoned, .. } => *poisoned,
        Error::FrameNotInstrumented { .. }
        | Error::StateOutOfStep { .. }
        | Error::Host { poisons: true, .. } => true,
        // It is poisoned already.
        Error::Poisoned { .. } => false,
        _ => rt.host_end_poisons,
    };
    if poisons {
        poison(rt, &error.with_root());
    } else if leaks_stack(rt, &error) {
        poison(rt, &format!("{}, and its shadow stack cannot be freed", error.with_root()));
    }
    error
}

/// Whether a call that ended early leaves its shadow stack behind, for want of the pointer. The
/// call that is parked while another is refused gives back both stacks when it returns.
fn leaks_stack(rt: &Runtime, error: &Error) -> bool {
    rt.pointer.is_uncertain()
        && !matches!(error, Error::StackPointerUncertain { .. } | Error::Poisoned { .. })
}

/// Says that the guest's state cannot be trusted any more, to those that are parked as well.
#[cold]
fn poison(rt: &mut Runtime, cause: &str) {
    let cause = rt.poison.get_or_insert_with(|| Arc::new(cause.to_owned())).clone();
    rt.holder.note_poisoning();
    for record in rt.parked.iter_mut() {
        record.dead.get_or_insert_with(|| cause.clone());
        wake(&record.waker);
    }
    // A call that is being polled with another waker sees the count above, or is woken here.
    rt.mail.wake_changed();
    if let Some(turns) = &rt.turns {
        turns.clear();
    }
}

/// An error if the guest is poisoned.
#[inline]
pub(crate) fn check_poison(rt: &Runtime) -> Result<()> {
    match &rt.poison {
        None => Ok(()),
        Some(cause) => Err(Error::Poisoned { cause: cause.to_string() }),
    }
}

/// Ends a parked call that will not be resumed.
pub(crate) fn discard<T: Send + 'static>(vm: &mut Vm<'_, T>, key: Key) {
    let rt = vm.rt();
    let Some(record) = rt.parked.remove(key) else {
        return;
    };
    rt.stats.unpark(record.held());
    if record.dead.is_some() {
        // It ended when the guest was poisoned, and may be collected after that was cleared.
    } else if rt.host_end_poisons {
        poison(rt, "a call was dropped while it was parked");
    } else if rt.pointer.is_uncertain() {
        poison(rt, "a call was dropped while it was parked, and its shadow stack cannot be freed");
    }
    if let Err(error) = vm.drop_stack(record.shadow) {
        poison(vm.rt(), &error.to_string());
    }
}

/// Ends a parked call whose guest was poisoned, and says by what.
#[cold]
pub(crate) fn take_dead<T: Send + 'static>(vm: &mut Vm<'_, T>, key: Key) -> Error {
    let rt = vm.rt();
    let dead = rt.parked.get(key).and_then(|record| record.dead.clone());
    let cause = dead.or_else(|| rt.poison.clone());
    discard(vm, key);
    Error::Poisoned {
        cause: cause.map_or_else(|| "a call failed".to_owned(), |cause| cause.to_string()),
    }
}
