//! Real guests, instrumented by Binaryen: what their frames hold outlives each suspension, in any
//! number of calls at once, under each policy for the shadow stack.

#[path = "../common/mod.rs"]
mod common;

mod stack;
mod values;
