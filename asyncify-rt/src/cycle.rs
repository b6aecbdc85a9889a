//! The Asyncify cycle on one guest: enter, unwind, park, rewind, end. No other file changes the
//! state.
//!
//! ```text
//!                    enter                        resume
//!                      |                            |
//!                      v          stop_rewind       v
//!   end <---------- Normal <------------------- Rewinding
//!                      |         (the import)
//!         start_unwind |
//!          (the import)v
//!                  Unwinding ----> parked: a record in the table, the guest's lock free
//! ```
//!
//! Source of the protocol: Binaryen's `src/passes/Asyncify.cpp`. An export's return in state
//! `Unwinding` parks the call; in `Rewinding` the import was never reached, which is a fault.

mod call_state;
mod import;
mod nested;

pub(crate) use import::{Entered, enter_plain, enter_suspending, start_unwind};
pub(crate) use nested::{enter_trampoline, is_unwinding, leave_trampoline, nested, through};

use std::sync::Arc;

use wasmtime::{AsContextMut, StoreContextMut, Trap};

use crate::call_state::Saved;
use crate::cx::GuestCx;
use crate::error::{Boxed, Error, Name, Result, Thin};
use crate::frames;
use crate::machine::{MaySuspend, Phase, Returned};
use crate::parked::{Key, Record};
use crate::shadow_stack::{Frame, Overrun};
use crate::state::{Pending, Resuming, Runtime, State, Suspended};
use crate::waker::wake;
use crate::window::Unwound;

/// How a run of wasm ended. What it returned is not in here: the caller's closure keeps that, so
/// that it is written once and moved nowhere.
pub(crate) enum Outcome {
    Returned,
    Parked { key: Key, pending: Suspended, saved: Option<Box<Saved>> },
}

/// Calls an export for the first time.
#[inline]
pub(crate) fn enter<T>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    may_suspend: MaySuspend,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    settle(cx)?;
    if cx.keeps_call_state() {
        cx.begin_call_state()?;
    }
    let frame = cx.enter_stack(may_suspend == MaySuspend::Yes)?;
    let rt = cx.rt();
    rt.run.key = None;
    rt.window.close();
    rt.machine.may_suspend = may_suspend;
    run_wasm(cx, name, frame, invoke)
}

/// Calls a parked call's export again.
pub(crate) fn resume<T>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    key: Key,
    mut resuming: Resuming,
    saved: Option<Box<Saved>>,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    let rt = cx.rt();
    let poisoned = rt.poison.is_some();
    let Some(record) = rt.parked.get_mut(key) else {
        return Err(gone());
    };
    if record.dead.is_some() || poisoned {
        return Err(take_dead(cx, key).into());
    }
    // Before anything is changed: this may drop the last clone of a waker, which may panic.
    record.waker.clone_from(rt.run.waker.waker());
    let (held, shadow) = (record.held(), record.shadow);
    let unwound = (record.frames.len() as u64).saturating_sub(shadow.copied() as u64);
    let mut globals = None;
    if let Some(saved) = saved {
        let (back, values) = call_state::bring_back(cx, name, key, resuming, *saved)?;
        (resuming, globals) = (back, Some(values));
    }
    let put = put_back(cx, key, unwound);
    // Not before: should the guest's allocator panic, the call is parked yet, and is collected.
    cx.rt().stats.unpark(held);
    let placed = match put {
        Ok(()) => cx.resume_stack(shadow).map_err(Into::into),
        Err(error) => Err(cx.drop_stack(shadow).err().map_or(error, Into::into)),
    };
    let rt = cx.rt();
    let frame = match placed {
        Ok(frame) => frame,
        Err(error) => {
            rt.parked.remove(key);
            cx.return_window();
            return Err(error);
        }
    };
    let globals = globals.map_or(Ok(()), |values| cx.put_back_call_globals(&values));
    if let Err(error) = globals.and_then(|()| set_state(cx, Phase::Rewinding)) {
        cx.return_window();
        return Err(error.into());
    }
    let rt = cx.rt();
    rt.run.key = Some(key);
    rt.run.resuming = Some(resuming);
    rt.machine.may_suspend = MaySuspend::Yes;
    run_wasm(cx, name, frame, invoke)
}

/// Puts a parked call's bytes back in their places.
#[inline]
fn put_back<T: Send + 'static>(cx: &mut GuestCx<'_, T>, key: Key, unwound: u64) -> Thin<()> {
    cx.ensure_window(unwound)?;
    // The guest's allocator may have poisoned it.
    check_poison(cx.rt())?;
    let (memory, rt) = cx.memory_and_runtime();
    if let Some(record) = rt.parked.get(key) {
        let (unwound, copied) = record.parts();
        // A window that is borrowed may stand on the guest's stack: it comes last, and goes first.
        record.shadow.fill(memory, copied)?;
        rt.window.fill(memory, unwound)?;
    }
    Ok(())
}

#[inline]
fn run_wasm<T>(
    cx: &mut GuestCx<'_, T>,
    name: &str,
    frame: Frame,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    let panicking = Panicking { cx, frame };
    let result = invoke(panicking.cx.store.as_context_mut());
    std::mem::forget(panicking);
    let returned = cx.rt().machine.returned();
    let error: Error = match (result, returned) {
        (Ok(()), Returned::Ended) => match end(cx, frame) {
            Ok(()) => return Ok(Outcome::Returned),
            Err(error) => error.into(),
        },
        (Ok(()), Returned::Unwound) => match park(cx, frame) {
            Ok((key, pending)) => return call_state::keep(cx, name, key, pending),
            Err(error) => error.into(),
        },
        (Ok(()), Returned::NeverReached) => never_reached(cx.rt()),
        (Err(error), returned) => interpret(cx, error, returned == Returned::Unwound),
    };
    Err(fail(cx, name, frame, error).into())
}

/// Puts the guest in order while a host function's panic passes: it is dropped then, and only
/// then.
struct Panicking<'a, 'b, T: Send + 'static> {
    cx: &'a mut GuestCx<'b, T>,
    frame: Frame,
}

impl<T: Send + 'static> Drop for Panicking<'_, '_, T> {
    #[cold]
    fn drop(&mut self) {
        self.cx.rt().machine.returned();
        after_panic(self.cx.rt());
        restore(self.cx, self.frame);
    }
}

/// Ends a call that ran to its end.
#[inline]
fn end<T: Send + 'static>(cx: &mut GuestCx<'_, T>, frame: Frame) -> Thin<()> {
    check_state(cx, Phase::Normal)?;
    let rt = cx.rt();
    let key = rt.run.key.take();
    if let Some(key) = key {
        rt.parked.remove(key);
    }
    Ok(cx.leave_stack(frame, key.is_some())?)
}

/// Makes a record of a call whose frames are in the window.
#[inline]
fn park<T: Send + 'static>(cx: &mut GuestCx<'_, T>, frame: Frame) -> Thin<(Key, Suspended)> {
    check_state(cx, Phase::Unwinding)?;
    let rt = cx.rt();
    // A function within the call may have poisoned it. Nobody would wake one that parks later.
    check_poison(rt)?;
    let key = match rt.run.key {
        Some(key) => key,
        None => insert_record(rt)?,
    };
    let pointer = cx.stack_pointer();
    let (memory, rt) = cx.memory_and_runtime();
    let Some(record) = rt.parked.get_mut(key) else {
        return Err(gone());
    };
    let limit = rt.limits.parked_bytes;
    let more = rt.stack.to_copy(frame, pointer, limit.min(memory.len() as u64));
    match rt.window.take(memory, rt.limits.window_bytes, &mut record.frames, more)? {
        Unwound::Frames => {}
        unwound => return Err(not_unwound(&unwound, rt.run.suspended.as_deref()).into()),
    }
    let unwound = record.frames.len() as u64;
    record.passed = rt.run.passed.bytes;
    let room = limit.checked_sub(rt.stats.parked_bytes.saturating_add(record.held()));
    let over = || Error::limit("bytes of parked calls", limit);
    let room = room.ok_or_else(over)?;
    let parked = rt.stack.park(memory, frame, pointer, room, &mut record.frames)?;
    let shadow = parked.ok_or_else(over)?;
    let held = record.held();
    record.trim();
    // If the call has failed before, its import is dropped when the guest is unlocked.
    let Some(pending) = rt.run.suspended.take() else {
        let reason = "it unwound, and no import had suspended".to_owned();
        return Err(Error::out_of_step(reason).into());
    };
    record.shadow = shadow;
    record.suspensions += 1;
    rt.run.key = None;
    rt.stats.park(unwound, held);
    cx.vacate_stack(frame, shadow)?;
    Ok((key, pending))
}

#[cold]
fn gone() -> Boxed {
    Error::out_of_step("the call's record is gone".to_owned()).into()
}

/// Makes a record of the call that runs. If the call fails yet, that is removed with it.
fn insert_record(rt: &mut Runtime) -> Thin<Key> {
    let record = Record::new(rt.run.waker.waker().clone());
    let key = rt.parked.insert(record);
    let key = key.map_err(|_| Error::limit("parked calls", u32::MAX.into()))?;
    rt.run.key = Some(key);
    Ok(key)
}

/// Why what an unwinding left cannot be parked.
#[cold]
fn not_unwound(unwound: &Unwound, pending: Option<&dyn Pending>) -> Error {
    match *unwound {
        Unwound::Frames | Unwound::Nothing => Error::out_of_step(format!(
            "{} suspended, and no frame was unwound",
            Name(&pending.map(Pending::import).unwrap_or_default())
        )),
        Unwound::Overflow { needed, size } => {
            Error::WindowTooSmall { function: String::new(), needed, size, poisoned: true }
        }
        Unwound::Astray { pos } => {
            Error::out_of_step(format!("the frames end at {pos:#x}, outside the window"))
        }
    }
}

/// Puts the guest in order after a call that did not end by itself.
#[cold]
fn fail<T>(cx: &mut GuestCx<'_, T>, name: &str, frame: Frame, error: Error) -> Error
where
    T: Send + 'static,
{
    let error = poison_after(cx.rt(), name, error);
    restore(cx, frame);
    error
}

/// Forgets the call that ran, and sets back what its frames had changed.
#[cold]
fn restore<T: Send + 'static>(cx: &mut GuestCx<'_, T>, frame: Frame) {
    let rt = cx.rt();
    if let Some(key) = rt.run.key.take() {
        rt.parked.remove(key);
    }
    // These write globals of the guest's own types, which cannot fail.
    if let Err(error) = give_up(cx, frame) {
        poison(cx.rt(), &error.to_string());
    }
}

/// Sets back what frames that are gone had changed. Whoever runs on, as a trampoline that answers
/// for their failure, is neither unwound nor rewound any more.
#[cold]
fn give_up<T: Send + 'static>(cx: &mut GuestCx<'_, T>, frame: Frame) -> Result<()> {
    let run = &mut cx.rt().run;
    run.ended.extend(run.suspended.take());
    run.ended.extend(run.resuming.take().map(|resuming| resuming.pending));
    let resumed = run.key.is_some();
    cx.return_window();
    cx.abandon_stack(frame, resumed)?;
    force_state(cx, Phase::Normal)
}

/// What a panic in a host function leaves behind.
#[cold]
fn after_panic(rt: &mut Runtime) {
    poison(rt, "a host function panicked");
    rt.holder.set_polling(false);
    // The future that panicked is in one of them. They are made anew when they are needed.
    rt.tasks.clear();
}

/// Poisons the guest if it cannot be trusted after a run of `name` that ended with `error`.
fn poison_after(rt: &mut Runtime, name: &str, mut error: Error) -> Error {
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
    rt.stack.uncertain().is_some()
        && !matches!(error, Error::StackPointerUncertain { .. } | Error::Poisoned { .. })
}

/// Says that the guest's state cannot be trusted any more, to those that are parked as well.
#[cold]
pub(crate) fn poison(rt: &mut Runtime, cause: &str) {
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
pub(crate) fn discard<T: Send + 'static>(cx: &mut GuestCx<'_, T>, key: Key) {
    let rt = cx.rt();
    let Some(record) = rt.parked.remove(key) else {
        return;
    };
    rt.stats.unpark(record.held());
    if record.dead.is_some() {
        // It ended when the guest was poisoned, and may be collected after that was cleared.
    } else if rt.host_end_poisons {
        poison(rt, "a call was dropped while it was parked");
    } else if rt.stack.uncertain().is_some() {
        poison(rt, "a call was dropped while it was parked, and its shadow stack cannot be freed");
    }
    if let Err(error) = cx.drop_stack(record.shadow) {
        poison(cx.rt(), &error.to_string());
    }
}

/// Ends a parked call whose guest was poisoned, and says by what.
#[cold]
pub(crate) fn take_dead<T: Send + 'static>(cx: &mut GuestCx<'_, T>, key: Key) -> Error {
    let rt = cx.rt();
    let dead = rt.parked.get(key).and_then(|record| record.dead.clone());
    let cause = dead.or_else(|| rt.poison.clone());
    discard(cx, key);
    Error::Poisoned {
        cause: cause.map_or_else(|| "a call failed".to_owned(), |cause| cause.to_string()),
    }
}

/// What an error that came out of wasm means.
#[cold]
fn interpret<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    error: wasmtime::Error,
    unwinding: bool,
) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return error,
        Err(error) => error,
    };
    let (function, trap) = (String::new(), error.downcast_ref::<Trap>().copied());
    let frames = frames::of(&error);
    let source = error.into();
    match trap {
        None => Error::Host { function, source, poisons: false },
        Some(Trap::StackOverflow) => Error::StackOverflow { function, frames, source },
        Some(Trap::MemoryOutOfBounds)
            if unwinding && let Some(overflow) = cx.overflow_at_memory_end() =>
        {
            overflow
        }
        Some(Trap::UnreachableCodeReached) if let Some(overrun) = cx.overrun() => {
            let Overrun { needed, size, in_region } = overrun;
            Error::ShadowStackOverflow { function, needed, size, in_region, source }
        }
        Some(trap) => {
            let budget = cx.rt().budget.unwrap_or_default();
            let spent = budget.spent(trap, String::new());
            spent.unwrap_or(Error::Trap { function, frames, source })
        }
    }
}

#[cold]
fn never_reached(rt: &mut Runtime) -> Error {
    let import = rt.run.resuming.as_ref().map(|resuming| resuming.pending.import());
    Error::out_of_step(format!(
        "it returned without having been rewound into {}, where it had suspended",
        Name(&import.unwrap_or_default())
    ))
}

/// Sees to it that the guest is in state `Normal`: after a park it is not, until something runs.
#[inline]
pub(crate) fn settle<T: Send + 'static>(cx: &mut GuestCx<'_, T>) -> Result<()> {
    let machine = &cx.rt().machine;
    if machine.written() == Phase::Normal {
        return Ok(());
    }
    if machine.phase() != Phase::Normal {
        return Err(Error::out_of_step("the guest is on its way to another call".to_owned()));
    }
    set_state(cx, Phase::Normal)
}

#[inline]
fn set_state<T: Send + 'static>(cx: &mut GuestCx<'_, T>, phase: Phase) -> Result<()> {
    let rt = cx.rt();
    if rt.machine.go(phase)
        && let Some(asyncify) = rt.asyncify
    {
        asyncify.set_state(&mut cx.store, phase).map_err(Error::engine)?;
        if asyncify.may_have_moved(phase) {
            cx.aim_window()?;
        }
    }
    Ok(())
}

/// As [`set_state`], where the guest may have written the global itself.
#[cold]
fn force_state<T: Send + 'static>(cx: &mut GuestCx<'_, T>, phase: Phase) -> Result<()> {
    set_state(cx, phase)?;
    let asyncify = cx.rt().asyncify;
    asyncify
        .map_or(Ok(()), |asyncify| asyncify.set_state(&mut cx.store, phase))
        .map_err(Error::engine)
}

/// An error if the guest has written its state itself.
#[inline]
fn check_state<T: Send + 'static>(cx: &mut GuestCx<'_, T>, phase: Phase) -> Thin<()> {
    let asyncify = cx.rt().asyncify;
    match asyncify {
        Some(asyncify) if !asyncify.is_in_step(&mut cx.store, phase) => Err(left(phase)),
        _ => Ok(()),
    }
}

#[cold]
fn left(phase: Phase) -> Boxed {
    let reason = format!("Asyncify's state is not `{phase:?}`, as the host left it");
    Error::out_of_step(reason).into()
}
