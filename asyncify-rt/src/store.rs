//! What a guest's store holds, and the raw hand on it.
//!
//! Nothing in this room runs the guest, or decides what may happen to it.

mod allocator;
mod inner;
mod pending;
mod per_call;
mod pointer;
mod room;
mod runtime;
mod state;
mod suspension;
mod tasks;
mod vm;
mod watch;

pub(crate) use allocator::{Allocate, Free, Functions, Names, Pair};
pub(crate) use inner::{Export, Inner};
pub(crate) use pending::{Pending, Resuming, Suspended};
pub(crate) use per_call::{Hooked, Hooks, PerCall, Saved};
pub(crate) use pointer::{Guard, Pointer, address, read_address};
pub use room::Place;
pub(crate) use room::{ALIGN, Room, Source, Wanted, within};
pub(crate) use runtime::Runtime;
pub use state::State;
pub(crate) use suspension::{Asyncify, Suspension};
pub(crate) use tasks::Tasks;
pub(crate) use vm::Vm;
pub(crate) use watch::Watch;
