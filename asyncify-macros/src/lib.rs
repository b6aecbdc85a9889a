//! x
extern crate proc_macro;

mod attr;
mod check;
mod errors;
mod expand;
mod fallback;
mod model;
mod phases;
#[cfg(test)]
mod snapshots;

use proc_macro::TokenStream;

/// x
#[proc_macro_attribute]
pub fn imports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::imports(args.into(), item.into()).into()
}

/// x
#[proc_macro_attribute]
pub fn exports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::exports(args.into(), item.into()).into()
}
