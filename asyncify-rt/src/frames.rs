//! The functions that a suspension would have to unwind, and whether they can be.

use wasmtime::{AsContext, FrameInfo, WasmBacktrace};

use crate::cx::GuestCx;
use crate::error::{Error, Name, Result};
use crate::imports::wasm_opt_args;
use crate::module::Module;
use crate::state::Pending;

impl<T: Send + 'static> GuestCx<'_, T> {
    /// An error if a function on the stack was not instrumented, where that is to be looked at.
    #[inline]
    pub(crate) fn check_frames(&self, pending: &dyn Pending) -> Result<()> {
        match &self.runtime().check_frames {
            Some(module) => self.walk(module, pending),
            None => Ok(()),
        }
    }

    #[cold]
    fn walk(&self, module: &Module, pending: &dyn Pending) -> Result<()> {
        let stack = WasmBacktrace::force_capture(self.store.as_context());
        // Frames beyond these may be there, and are not seen.
        let seen = match module.wasmtime().engine().get_wasm_backtrace_max_frames() {
            0 => 20,
            seen => seen,
        };
        if stack.frames().len() >= seen {
            let import = pending.import();
            return Err(Error::Config(format!(
                "{} suspends below {seen} frames or more, and `check_frames` sees no more of them; raise that with `Config::wasm_backtrace_max_frames`",
                Name(&import)
            )));
        }
        let left_out = stack.frames().iter().filter(|frame| !can_be_unwound(module, frame));
        let mut functions: Vec<_> = left_out.map(name).collect();
        functions.dedup();
        if functions.is_empty() {
            return Ok(());
        }
        let import = pending.import();
        let wasm_opt_args = wasm_opt_args([pending.id()]);
        Err(Error::UninstrumentedCaller { import, functions, wasm_opt_args })
    }
}

fn can_be_unwound(module: &Module, frame: &FrameInfo) -> bool {
    wasmtime::Module::same(frame.module(), module.wasmtime())
        && module.findings().is_instrumented(frame.func_index())
}

/// The guest's functions on the stack where `error` came up. One that calls itself is there once.
pub(crate) fn of(error: &wasmtime::Error) -> Vec<String> {
    let stack = error.downcast_ref::<WasmBacktrace>();
    let mut frames: Vec<_> = stack.iter().flat_map(|stack| stack.frames()).map(name).collect();
    frames.dedup();
    frames
}

fn name(frame: &FrameInfo) -> String {
    let index = || format!("function[{}]", frame.func_index());
    frame.func_name().map_or_else(index, str::to_owned)
}
