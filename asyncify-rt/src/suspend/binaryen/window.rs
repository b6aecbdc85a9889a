//! The window in the guest's memory: where it is, and when it stands on the guest's own bytes.

use std::ops::Range;

use crate::error::{Error, Result, Thin};
use crate::store::{Runtime, Vm, Wanted};

/// The room in the guest that is needed for `frames` bytes of frames, if it is yet to be made.
#[inline]
pub(crate) fn room_needed<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    frames: u64,
) -> Thin<Option<Wanted>> {
    let rt = vm.rt();
    let (limit, window) = (rt.limits.window_bytes, &rt.suspension.window);
    let size = window.wanted(frames, limit);
    if window.is_borrowed() {
        borrow(vm, size, frames)?;
        return Ok(None);
    }
    if window.has(size) {
        return Ok(None);
    }
    let (size, least, parts) = window.room_for(size, frames);
    Ok(Some(Wanted {
        what: "the window",
        size,
        least,
        parts,
        cure: "ask for less with `Builder::window_size`, or name another place with `Builder::place`",
    }))
}

/// Takes the room that was made for `frames` bytes of frames: what it leaves for that.
#[cold]
pub(crate) fn take_room<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    room: &Range<u64>,
    frames: u64,
) -> Result<Option<Range<u64>>> {
    point_at(vm, room.start)?;
    let rt = vm.rt();
    let window = &mut rt.suspension.window;
    let size = window.wanted(frames, rt.limits.window_bytes);
    let left = window.move_to(room, size, frames);
    rt.stats.window_bytes = window.size();
    Ok(left)
}

/// Makes do with the room there is, for want of more: whether that is enough.
#[cold]
pub(crate) fn make_do(rt: &mut Runtime, frames: u64) -> bool {
    rt.suspension.window.stretch(frames)
}

/// Puts the window at the end of the memory.
#[inline]
fn borrow<T: Send + 'static>(vm: &mut Vm<'_, T>, size: u64, frames: u64) -> Thin<()> {
    if vm.rt().memory.is_none() {
        return Err(Error::NoMemory.into());
    }
    let end = vm.memory().len() as u64;
    if let Some(base) = vm.rt().suspension.window.borrow(end, size, frames)? {
        point_at(vm, base)?;
    }
    let rt = vm.rt();
    rt.stats.window_bytes = rt.suspension.window.size();
    Ok(())
}

/// Points the guest at the window again.
#[cold]
pub(super) fn aim<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Result<()> {
    match vm.rt().suspension.window.base() {
        Some(base) => point_at(vm, base),
        None => Ok(()),
    }
}

fn point_at<T: Send + 'static>(vm: &mut Vm<'_, T>, base: u64) -> Result<()> {
    match vm.rt().suspension.asyncify {
        Some(asyncify) => asyncify.set_data(&mut vm.store, base).map_err(Error::engine),
        None => Ok(()),
    }
}

/// Forgets what was put back or taken of a call's frames, wherever a run has ended: the guest has
/// its own bytes again.
pub(crate) fn forget<T: Send + 'static>(vm: &mut Vm<'_, T>) {
    if vm.rt().suspension.window.forget_aside() {
        let (memory, rt) = vm.memory_and_runtime();
        rt.suspension.window.give_back_all(memory);
    }
}

/// Host code is about to run between frames that leave or come back: it sees the guest's own
/// bytes.
#[inline]
pub(crate) fn set_frames_aside<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    if !vm.rt().suspension.window.is_lent() {
        return Ok(());
    }
    let (memory, rt) = vm.memory_and_runtime();
    rt.suspension.window.set_aside(memory)
}

/// The guest goes on after that: what was set aside is put back. The memory may have grown.
#[inline]
pub(crate) fn bring_frames_back<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    let rt = vm.rt();
    let Some(aside) = rt.suspension.window.aside() else {
        return Ok(());
    };
    let size = rt.suspension.window.wanted(aside, rt.limits.window_bytes);
    borrow(vm, size, aside)?;
    let phase = vm.rt().machine.phase();
    let (memory, rt) = vm.memory_and_runtime();
    rt.suspension.window.bring_back(memory, phase)
}

/// After an access beyond the memory while the guest left its frames: what that means, if it was one
/// of frames that ran out of the memory at whose end the window lies. Then nothing is damaged.
#[cold]
pub(crate) fn overflow<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Option<Error> {
    let (memory, rt) = vm.memory_and_runtime();
    rt.suspension.window.overflow(memory, rt.limits.window_bytes)
}
