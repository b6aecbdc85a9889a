//! Values between guest and host: what crosses, and in which wasm values.
//!
//! [`FromGuest`] runs when an import is entered, [`IntoGuest`] when it answers; for exports it is
//! the other way round. Both see the guest, so a type may read the memory or call the guest's own
//! functions to build itself.
//!
//! Nothing in this room knows whether a call waits.

mod args;
mod errno;
mod info;
mod out_buf;
mod params;
mod results;
mod returned;
mod scalars;
mod site;
mod slices;
mod values;
mod wire;

pub use args::{Arg, Args, Output};
pub use errno::Errno;
pub use info::ParamInfo;
pub(crate) use info::assert_not_too_many;
pub use out_buf::{OutBuf, TooSmall};
pub use params::{Mut, Param, Params, Ref, Val, Writable};
pub use results::{Answer, Coded, Direct, FromGuestError, GuestError, OrCode, OutPtr, OutPtrAbi};
pub use scalars::GuestPtr;
pub use site::Site;
pub use slices::{Borrowed, Lent};
pub use values::{FromGuest, IntoGuest};
pub use wire::{Concat, LentSlice, ParamAbi, ResultAbi, Value, ValueType, Values};

pub(crate) use crate::parts::memory::Slice;
