//! x
pub use asyncify_macros::{exports, imports};
pub use asyncify_rt::*;

/// wasmtime, in the version that this crate's types come from.
pub use wasmtime;

#[doc(hidden)]
pub mod __private {
    pub use asyncify_rt::private::*;
}
