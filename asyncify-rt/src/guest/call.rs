//! Calls: futures that enter the guest, wait while they are parked, and resume.

mod owned;
mod parked;
mod plain;
mod running;
mod start;
mod target;

pub use owned::Call;
pub use plain::PlainCall;
pub(crate) use plain::{Callable, poll_plain};
pub(crate) use target::Target;
