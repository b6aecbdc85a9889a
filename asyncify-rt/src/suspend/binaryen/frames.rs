//! The functions that a suspension would have to unwind, and whether they can be.

use wasmtime::{AsContext, Caller, Extern, FrameInfo, WasmBacktrace};

use crate::error::{Error, Name, Result, frame_name, wasm_opt_args};
use crate::store::{Pending, State, Vm, Watch};

/// Notes by which instance an import is called that may suspend, where that is to be looked at.
#[inline]
pub(crate) fn note_caller<T: Send + 'static>(caller: &mut Caller<'_, State<T>>) {
    if caller.data().rt.suspension.watch.is_some() {
        look_at_caller(caller);
    }
}

#[cold]
fn look_at_caller<T: Send + 'static>(caller: &mut Caller<'_, State<T>>) {
    let suspension = &caller.data().rt.suspension;
    let (Some(watch), Some(asyncify)) = (&suspension.watch, suspension.asyncify) else {
        return;
    };
    let state = watch.module.findings().asyncify().map(|found| found.state().to_owned());
    let state = state.and_then(|state| caller.get_export(&state));
    let state = state.and_then(Extern::into_global);
    let by_another = state.is_some_and(|state| !asyncify.has_state(&mut *caller, state));
    if let Some(watch) = &mut caller.data_mut().rt.suspension.watch {
        watch.by_another = by_another;
    }
}

/// An error if a function on the stack cannot be unwound, where that is to be looked at.
#[inline]
pub(crate) fn check_frames<T>(vm: &Vm<'_, T>, pending: &dyn Pending) -> Result<()>
where
    T: Send + 'static,
{
    match &vm.runtime().suspension.watch {
        Some(watch) => walk(vm, watch, pending),
        None => Ok(()),
    }
}

#[cold]
fn walk<T: Send + 'static>(vm: &Vm<'_, T>, watch: &Watch, pending: &dyn Pending) -> Result<()> {
    let stack = WasmBacktrace::force_capture(vm.store.as_context());
    let (module, frames) = (&watch.module, stack.frames());
    let found = |is: &dyn Fn(&FrameInfo) -> bool| {
        let mut names: Vec<_> = frames.iter().filter(|frame| is(frame)).map(frame_name).collect();
        names.dedup();
        names
    };
    let is_own = |frame: &FrameInfo| wasmtime::Module::same(frame.module(), module.wasmtime());
    let findings = module.findings();
    let import = pending.import();
    let functions = found(&|frame| !is_own(frame));
    if !functions.is_empty() {
        let other = frames.iter().find(|frame| !is_own(frame));
        let of = other.and_then(|frame| frame.module().name());
        return Err(Error::OtherInstance { import, functions, module: of.map(str::to_owned) });
    }
    if watch.by_another {
        let functions = frames.first().map(frame_name).into_iter().collect();
        let module = module.wasmtime().name().map(str::to_owned);
        return Err(Error::OtherInstance { import, functions, module });
    }
    let functions = found(&|frame| findings.schedules(frame.func_index()));
    if !functions.is_empty() {
        return Err(Error::DrivesAsyncify { import, functions });
    }
    let can_be_unwound = |frame: &FrameInfo| findings.is_instrumented(frame.func_index());
    if let Some(caller) = frames.first().filter(|frame| !can_be_unwound(frame)) {
        let wasm_opt_args = wasm_opt_args([pending.id()]);
        let functions = vec![frame_name(caller)];
        return Err(Error::UninstrumentedCaller { import, functions, wasm_opt_args });
    }
    let functions = found(&|frame| !can_be_unwound(frame));
    if !functions.is_empty() {
        return Err(Error::LeftOut { import: Some(import), functions });
    }
    // Frames beyond these may be there, and are not seen.
    let seen = match module.wasmtime().engine().get_wasm_backtrace_max_frames() {
        0 => 20,
        seen => seen,
    };
    if watch.whole && frames.len() >= seen {
        return Err(Error::Config(format!(
            "{} suspends below {seen} frames or more, and `check_frames` sees no more of them; raise that with `Config::wasm_backtrace_max_frames`",
            Name(&import)
        )));
    }
    Ok(())
}
