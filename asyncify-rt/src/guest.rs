//! What a user holds: a guest, and how one is made, called and pooled.
//!
//! Nothing in this room knows how a guest is suspended; the lock is held within one poll.

mod builder;
mod call;
mod cx;
mod exports;
mod function;
mod guests;
mod handle;
mod link;

pub use builder::Builder;
pub use call::{Call, PlainCall};
pub use exports::{AsyncExports, ExportInfo, ExportLookup, Exports};
pub use function::{AsyncFunction, ExportFn, TypedAsyncFunction};
pub use guests::{Guests, PooledGuest};
pub use handle::{Guest, WeakGuest};
