//! The cycle step by step, and every fault that a guest, a host or a caller can commit: guests
//! written by hand, so that each step can be done wrongly on purpose.

#[path = "../common/mod.rs"]
mod common;

mod allocator_panics;
mod allocators;
mod borrowed;
mod call_state;
mod cancel;
mod collected;
#[cfg(unix)]
mod commands;
mod contract;
mod conversions;
mod cycle;
mod drops;
mod ends;
mod exclusive;
mod exclusive_nested;
mod frames;
mod fuel;
mod host_frame;
mod linking;
mod marshalling;
mod names;
mod overflow;
mod overflow_ends;
mod own_memory;
mod own_stacks;
mod parts;
mod places;
mod poison;
mod reentry;
mod replaced;
mod returned;
mod shadow;
mod texts;
mod texts_of_trampolines;
mod told;
mod trampolines;
mod windows;
