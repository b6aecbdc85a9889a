//! x
use proc_macro::TokenStream;
/// x
#[proc_macro_attribute]
pub fn imports(_: TokenStream, item: TokenStream) -> TokenStream { item }
/// x
#[proc_macro_attribute]
pub fn exports(_: TokenStream, item: TokenStream) -> TokenStream { item }
