//! The attributes of [asyncify]: [`macro@imports`] and [`macro@exports`].
//!
//! Use them through that crate, which re-exports them; what they generate needs it.
//!
//! ```text
//! attribute and item ─▶ attr, model ─▶ check ─┬─▶ expand
//!                       what was     every    └─▶ fallback: the item, a stub,
//!                       written      rule         and every mistake
//! ```
//!
//! They know syntax and no ABI: which wasm values a type stands for is said by the type's own
//! traits, and so is the error where it has none.
//!
//! [asyncify]: https://docs.rs/asyncify-wasm

extern crate proc_macro;

mod attr;
mod check;
mod errors;
mod expand;
mod fallback;
mod model;
#[cfg(test)]
mod order;
mod phases;
#[cfg(test)]
mod snapshots;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/imports.md")]
#[proc_macro_attribute]
pub fn imports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::imports(args.into(), &item.into()).into()
}

#[doc = include_str!("../docs/exports.md")]
#[proc_macro_attribute]
pub fn exports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::exports(args.into(), &item.into()).into()
}
