//! A function of the guest that the host calls: typed, or with dynamic values.

mod dynamic;
mod typed;
mod untyped;

pub use dynamic::AsyncFunction;
pub use typed::{ExportFn, TypedAsyncFunction};
pub(crate) use untyped::Function;
