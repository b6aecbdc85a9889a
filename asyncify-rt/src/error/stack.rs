//! The functions on the stack, as an error tells them.

use wasmtime::{FrameInfo, WasmBacktrace};

/// The guest's functions on the stack where `error` came up. One that calls itself is there once.
pub(crate) fn frames_of(error: &wasmtime::Error) -> Vec<String> {
    let stack = error.downcast_ref::<WasmBacktrace>();
    let mut frames: Vec<_> =
        stack.iter().flat_map(|stack| stack.frames()).map(frame_name).collect();
    frames.dedup();
    frames
}

/// A function on the stack, as an error tells it.
pub(crate) fn frame_name(frame: &FrameInfo) -> String {
    let index = || format!("function[{}]", frame.func_index());
    frame.func_name().map_or_else(index, str::to_owned)
}
