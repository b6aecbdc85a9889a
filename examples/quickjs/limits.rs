//! How much a script may have. All follows from the stack that wasm runs on, so that whichever end
//! a script comes to first is one that it can be told of.

/// The stack of the guest, and so of whichever script it runs. 2 MiB is the most that wasmtime
/// takes without a larger `Config::async_stack_size`.
pub(crate) const WASM_STACK: usize = 2 << 20;

/// The stack of a thread that runs the guest: Rust has as much of it as wasm.
pub(crate) const THREAD_STACK: usize = 2 * WASM_STACK;

/// Bytes of QuickJS's own stack, which lies in the guest's memory. A recursion takes up to 21 bytes
/// of wasm's stack for one of this (a `JSON.stringify` in a `toJSON` in a `JSON.stringify` …), so
/// that a third is left of that when this one is used up: it ends with an exception, and not with a
/// trap.
#[allow(clippy::cast_possible_truncation, reason = "the guest's memory is far larger")]
pub(crate) const JS_STACK: u32 = (WASM_STACK / 32) as u32;

/// The window that the frames of a suspending script are unwound into: they take less there than on
/// the stack that they come from.
pub(crate) const WINDOW: u64 = WASM_STACK as u64 / 2;

/// Bytes of a script's own heap. QuickJS throws an exception beyond.
pub(crate) const JS_HEAP: u32 = 256 << 20;
