//! A run of wasm: a call is entered or resumed, and then ends, or parks.

use wasmtime::StoreContextMut;

use super::call_state;
use super::fail::{after_panic, check_poison, fail, interpret, restore, take_dead};
use super::outcome::{Outcome, gone};
use crate::error::{Error, Thin};
use crate::parts::machine::{MaySuspend, Returned};
use crate::parts::parked::{Key, Record};
use crate::parts::shadow::Frame;
use crate::store::{Resuming, Runtime, Saved, State, Suspended, Vm};
use crate::suspend;

/// Calls an export for the first time.
#[allow(clippy::inline_always, reason = "one place for each way to call, on the shortest of ways")]
#[inline(always)]
pub(crate) fn enter<T>(
    vm: &mut Vm<'_, T>,
    name: &str,
    may_suspend: MaySuspend,
    invoke: impl FnOnce(&mut Vm<'_, T>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    suspend::enter(vm)?;
    if vm.keeps_call_state() {
        vm.begin_call_state()?;
    }
    let frame = vm.enter_stack(may_suspend == MaySuspend::Yes)?;
    let rt = vm.rt();
    rt.run.key = None;
    rt.machine.may_suspend = may_suspend;
    run_wasm(vm, name, frame, invoke)
}

/// Calls a parked call's export again.
pub(crate) fn resume<T>(
    vm: &mut Vm<'_, T>,
    name: &str,
    key: Key,
    mut resuming: Resuming,
    saved: Option<Box<Saved>>,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    let rt = vm.rt();
    let poisoned = rt.poison.is_some();
    let Some(record) = rt.parked.get_mut(key) else {
        return Err(gone());
    };
    if record.dead.is_some() || poisoned {
        return Err(take_dead(vm, key).into());
    }
    // Before anything is changed: this may drop the last clone of a waker, which may panic.
    record.waker.clone_from(rt.run.waker.waker());
    let (held, shadow) = (record.held(), record.shadow);
    let unwound = (record.frames.len() as u64).saturating_sub(shadow.copied() as u64);
    let mut globals = None;
    if let Some(saved) = saved {
        let (back, values) = call_state::bring_back(vm, name, key, resuming, *saved)?;
        (resuming, globals) = (back, Some(values));
    }
    let put = put_back(vm, key, unwound);
    // Not before: should the guest's allocator panic, the call is parked yet, and is collected.
    vm.rt().stats.unpark(held);
    let placed = match put {
        Ok(()) => vm.resume_stack(shadow).map_err(Into::into),
        Err(error) => Err(vm.drop_stack(shadow).err().map_or(error, Into::into)),
    };
    let rt = vm.rt();
    let frame = match placed {
        Ok(frame) => frame,
        Err(error) => {
            rt.parked.remove(key);
            suspend::forget(vm);
            return Err(error);
        }
    };
    let globals = globals.map_or(Ok(()), |values| vm.put_back_call_globals(&values));
    if let Err(error) = globals {
        suspend::forget(vm);
        return Err(error.into());
    }
    let rt = vm.rt();
    rt.run.key = Some(key);
    rt.machine.may_suspend = MaySuspend::Yes;
    run_wasm(vm, name, frame, |vm| suspend::resume(vm, resuming, invoke))
}

/// Puts a parked call's bytes back in their places.
#[inline]
fn put_back<T: Send + 'static>(vm: &mut Vm<'_, T>, key: Key, unwound: u64) -> Thin<()> {
    vm.make_room_for_frames(unwound)?;
    // The guest's allocator may have poisoned it.
    check_poison(vm.rt())?;
    let (memory, rt) = vm.memory_and_runtime();
    if let Some(record) = rt.parked.get(key) {
        let (unwound, copied) = record.parts();
        record.shadow.fill(memory, copied)?;
        suspend::put_frames(&mut rt.suspension, memory, unwound)?;
    }
    Ok(())
}

#[allow(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn run_wasm<T>(
    vm: &mut Vm<'_, T>,
    name: &str,
    frame: Frame,
    invoke: impl FnOnce(&mut Vm<'_, T>) -> wasmtime::Result<()>,
) -> Thin<Outcome>
where
    T: Send + 'static,
{
    let panicking = Panicking { vm, frame };
    let result = invoke(panicking.vm);
    std::mem::forget(panicking);
    let returned = suspend::returned(vm.rt());
    let error: Error = match (result, returned) {
        (Ok(()), Returned::Ended) => match end(vm, frame) {
            Ok(()) => return Ok(Outcome::Returned),
            Err(error) => error.into(),
        },
        (Ok(()), Returned::Unwound) => match park(vm, frame) {
            Ok((key, pending)) => return call_state::keep(vm, name, key, pending),
            Err(error) => error.into(),
        },
        (Ok(()), Returned::NeverReached) => suspend::never_reached(vm.rt()),
        (Err(error), returned) => interpret(vm, error, returned == Returned::Unwound),
    };
    Err(fail(vm, name, frame, error).into())
}

/// Puts the guest in order while a host function's panic passes: it is dropped then, and only
/// then.
struct Panicking<'a, 'b, T: Send + 'static> {
    vm: &'a mut Vm<'b, T>,
    frame: Frame,
}

impl<T: Send + 'static> Drop for Panicking<'_, '_, T> {
    #[cold]
    fn drop(&mut self) {
        suspend::returned(self.vm.rt());
        after_panic(self.vm.rt());
        restore(self.vm, self.frame);
    }
}

/// Ends a call that ran to its end.
#[allow(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn end<T: Send + 'static>(vm: &mut Vm<'_, T>, frame: Frame) -> Thin<()> {
    suspend::check_ended(vm)?;
    let rt = vm.rt();
    let key = rt.run.key.take();
    if let Some(key) = key {
        rt.parked.remove(key);
    }
    vm.leave_stack(frame, key.is_some())
}

/// Makes a record of a call whose frames are in the window.
#[inline]
fn park<T: Send + 'static>(vm: &mut Vm<'_, T>, frame: Frame) -> Thin<(Key, Suspended)> {
    suspend::check_suspended(vm)?;
    let rt = vm.rt();
    // A function within the call may have poisoned it. Nobody would wake one that parks later.
    check_poison(rt)?;
    let key = match rt.run.key {
        Some(key) => key,
        None => insert_record(rt)?,
    };
    let pointer = vm.stack_pointer();
    let (memory, rt) = vm.memory_and_runtime();
    let Some(record) = rt.parked.get_mut(key) else {
        return Err(gone());
    };
    let limit = rt.limits.parked_bytes;
    let more = rt.stack.to_copy(frame, pointer, limit.min(memory.len() as u64));
    let (frames, pending) = (&mut record.frames, rt.run.suspended.as_deref());
    let most = rt.limits.window_bytes;
    suspend::take_frames(&mut rt.suspension, memory, most, frames, more, pending)?;
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
    vm.vacate_stack(frame, shadow)?;
    Ok((key, pending))
}

/// Makes a record of the call that runs. If the call fails yet, that is removed with it.
fn insert_record(rt: &mut Runtime) -> Thin<Key> {
    let record = Record::new(rt.run.waker.waker().clone());
    let key = rt.parked.insert(record);
    let key = key.map_err(|_| Error::limit("parked calls", u32::MAX.into()))?;
    rt.run.key = Some(key);
    Ok(key)
}
