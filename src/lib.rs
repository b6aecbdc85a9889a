#![doc = include_str!("../README.md")]

pub mod guide;

#[doc(inline)]
pub use asyncify_macros::{exports, imports};
#[doc(inline)]
pub use asyncify_rt::*;

/// wasmtime, in the version that this crate's types come from.
pub use wasmtime;

/// Not public API: what the attributes' expansions use.
#[doc(hidden)]
pub mod __private {
    pub use asyncify_rt::private::*;
}

/// The examples of the attributes, which are documented where they are defined.
#[cfg(doctest)]
#[doc = include_str!("../asyncify-macros/docs/imports.md")]
#[doc = include_str!("../asyncify-macros/docs/exports.md")]
pub mod attributes {}
