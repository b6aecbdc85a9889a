//! Binaryen's protocol: a guest unwinds its frames into a window, and is rewound by being called
//! again.
//!
//! ```text
//!                                       stop_rewind
//!   returned <---------- Normal <------------------- Rewinding
//!                          |         (the import)
//!             start_unwind |
//!              (the import)v
//!                      Unwinding ----> the export returns, and means nothing by it
//! ```
//!
//! Source: Binaryen's `src/passes/Asyncify.cpp`.

mod frames;
mod globals;
mod window;

use wasmtime::{AsContextMut, StoreContextMut};

use crate::error::{Boxed, Error, Name, Result, Thin, wasm_opt_args};
use crate::parts::machine::{Phase, Returned};
use crate::parts::window::Unwound;
use crate::store::{Pending, Resuming, Runtime, State, Suspension, Vm};
pub(crate) use frames::{check_frames, note_caller};
pub(crate) use window::{
    bring_frames_back, forget, make_do, overflow, room_needed, set_frames_aside, take_room,
};

/// Puts the guest in order for a call that begins.
#[inline]
pub(crate) fn enter<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    settle(vm)?;
    vm.rt().suspension.window.close();
    Ok(())
}

/// Puts the guest in order for what runs within a call, or beside all: after a park its state is
/// another one until something runs.
#[inline]
pub(crate) fn settle<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    if vm.rt().machine.written() == Phase::Normal { Ok(()) } else { go_to_normal(vm) }
}

fn go_to_normal<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    if vm.rt().machine.phase() != Phase::Normal {
        let reason = "the guest is on its way to another call".to_owned();
        return Err(Error::out_of_step(reason).into());
    }
    Ok(set_state(vm, Phase::Normal)?)
}

/// Lets the guest leave its frames, for which there is room: an import waits.
#[inline]
pub(crate) fn begin<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    let (memory, rt) = vm.memory_and_runtime();
    rt.suspension.window.open(memory)?;
    Ok(set_state(vm, Phase::Unwinding)?)
}

/// How a run of wasm ended. Nothing runs any more.
#[inline]
pub(crate) fn returned(rt: &mut Runtime) -> Returned {
    rt.machine.returned()
}

/// An error if the guest that has come to its end has written its state itself.
#[inline]
pub(crate) fn check_ended<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    check_state(vm, Phase::Normal)
}

/// An error if the guest that has suspended has written its state itself.
#[inline]
pub(crate) fn check_suspended<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Thin<()> {
    check_state(vm, Phase::Unwinding)
}

/// Takes the frames that were left, into `frames`, and leaves room for `more` bytes there.
#[inline]
pub(crate) fn take_frames(
    suspension: &mut Suspension,
    memory: &mut [u8],
    limit: u64,
    frames: &mut Vec<u8>,
    more: usize,
    pending: Option<&dyn Pending>,
) -> Thin<()> {
    match suspension.window.take(memory, limit, frames, more)? {
        Unwound::Frames => Ok(()),
        unwound => Err(not_unwound(&unwound, pending).into()),
    }
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

/// Puts a parked call's frames back, for which there is room. They may stand on the guest's own
/// bytes: whatever else is put back goes first.
#[inline]
pub(crate) fn put_frames(
    suspension: &mut Suspension,
    memory: &mut [u8],
    frames: &[u8],
) -> Thin<()> {
    suspension.window.fill(memory, frames)
}

/// Goes on with a call whose frames were put back, and with the answer that its import gets. Here
/// that is to call the export again, by `invoke`.
#[inline]
pub(crate) fn resume<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    resuming: Resuming,
    invoke: impl FnOnce(StoreContextMut<'_, State<T>>) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    vm.rt().run.resuming = Some(resuming);
    set_state(vm, Phase::Rewinding)?;
    invoke(vm.store.as_context_mut())
}

/// An import is reached that is to be answered: how, if it is the one that had suspended.
pub(crate) fn answer<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    import: (&str, &str),
) -> Thin<Resuming> {
    let reached = |resuming: &mut Resuming| is_same(resuming.pending.id(), import);
    let Some(resuming) = vm.rt().run.resuming.take_if(reached) else {
        return Err(astray(vm.runtime(), import).into());
    };
    set_state(vm, Phase::Normal)?;
    let (memory, rt) = vm.memory_and_runtime();
    if !rt.suspension.window.is_empty(memory)? {
        return Err(Error::out_of_step(format!(
            "not all frames were rewound before {} was reached",
            Name(&format!("{}.{}", import.0, import.1))
        ))
        .into());
    }
    Ok(resuming)
}

/// Whether two ids are of one import. Mostly they are the same strings in memory, which is seen at
/// once.
#[inline]
fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
    std::ptr::eq(one.0, other.0) && std::ptr::eq(one.1, other.1) || one == other
}

/// An import was reached, and is not the one that had suspended.
#[cold]
pub(crate) fn astray(rt: &Runtime, (module, name): (&str, &str)) -> Error {
    let import = rt.run.resuming.as_ref().map(|resuming| resuming.pending.import());
    Error::out_of_step(format!(
        "it was rewound into {}, but it had suspended in {}",
        Name(&format!("{module}.{name}")),
        Name(&import.unwrap_or_default())
    ))
}

/// The guest returned, and the import that had suspended was not reached.
#[cold]
pub(crate) fn never_reached(rt: &Runtime) -> Error {
    let import = rt.run.resuming.as_ref().map(|resuming| resuming.pending.import());
    Error::out_of_step(format!(
        "it returned without having been rewound into {}, where it had suspended",
        Name(&import.unwrap_or_default())
    ))
}

/// An error if the guest cannot suspend at all, as `pending` wants it to.
#[inline]
pub(crate) fn check_able(rt: &Runtime, pending: &dyn Pending) -> Thin<()> {
    if rt.suspension.asyncify.is_some() { Ok(()) } else { Err(not_instrumented(pending)) }
}

#[cold]
fn not_instrumented(pending: &dyn Pending) -> Boxed {
    Error::NotInstrumented {
        wasm_opt_args: wasm_opt_args([pending.id()]),
        suspending: vec![pending.import()],
        mismatches: Vec::new(),
    }
    .into()
}

/// Undoes what had begun, after a failure: whoever runs on is neither unwound nor rewound.
#[cold]
pub(crate) fn give_up<T: Send + 'static>(vm: &mut Vm<'_, T>) -> Result<()> {
    forget(vm);
    set_state(vm, Phase::Normal)?;
    // The guest may have written the global itself.
    let asyncify = vm.rt().suspension.asyncify;
    asyncify
        .map_or(Ok(()), |asyncify| asyncify.set_state(&mut vm.store, Phase::Normal))
        .map_err(Error::engine)
}

/// Whether the guest leaves its frames.
#[inline]
pub(crate) fn is_suspending(rt: &Runtime) -> bool {
    rt.machine.phase() == Phase::Unwinding
}

/// Whether the guest enters its frames again.
#[inline]
pub(crate) fn is_resuming(rt: &Runtime) -> bool {
    rt.machine.phase() == Phase::Rewinding
}

#[inline]
fn set_state<T: Send + 'static>(vm: &mut Vm<'_, T>, phase: Phase) -> Result<()> {
    let rt = vm.rt();
    if rt.machine.go(phase)
        && let Some(asyncify) = rt.suspension.asyncify
    {
        asyncify.set_state(&mut vm.store, phase).map_err(Error::engine)?;
        if asyncify.may_have_moved(phase) {
            window::aim(vm)?;
        }
    }
    Ok(())
}

#[inline]
fn check_state<T: Send + 'static>(vm: &mut Vm<'_, T>, phase: Phase) -> Thin<()> {
    let asyncify = vm.rt().suspension.asyncify;
    match asyncify {
        Some(asyncify) if !asyncify.is_in_step(&mut vm.store, phase) => Err(left(phase)),
        _ => Ok(()),
    }
}

#[cold]
fn left(phase: Phase) -> Boxed {
    let reason = format!("Asyncify's state is not `{phase:?}`, as the host left it");
    Error::out_of_step(reason).into()
}
