//! Attribute → model → check → expand, or the fallback. It never looks at a signature: it says who
//! does, and when.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{ImplItem, Item, ItemImpl, ItemTrait, TraitItem};

use crate::attr::{self, Place, take_elsewhere};
use crate::errors::Errors;
use crate::model::{Exports, Function, Imports};
use crate::{check, expand, fallback};

pub(crate) fn imports(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let attrs = attr::parse(args, Place::Imports, &mut errors);
    let mut block: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => {
            errors.push(other_item(
                item,
                error,
                "`#[asyncify::imports]` belongs on an `impl` block of the host; move it there",
            ));
            return fallback::not_a_block(item, &attrs, errors);
        }
    };
    let mut helpers = Vec::new();
    for item in &mut block.items {
        match item {
            ImplItem::Fn(item) => {
                helpers.push(attr::take(&mut item.attrs, Place::Import, &mut errors));
            }
            ImplItem::Const(item) => take_elsewhere(&mut item.attrs, &mut errors),
            ImplItem::Type(item) => take_elsewhere(&mut item.attrs, &mut errors),
            ImplItem::Macro(item) => take_elsewhere(&mut item.attrs, &mut errors),
            _ => {}
        }
    }
    let functions = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    });
    let (functions, skipped) = functions
        .zip(&helpers)
        .map(|(function, attrs)| Function::new(&function.sig, attrs, &function.attrs))
        .partition(|function| function.attrs.skip.is_none());
    let block = Imports { original: &block, attrs: &attrs, functions, skipped };
    check::imports(&block, &mut errors);
    if errors.is_empty() {
        expand::imports::expand(&block)
    } else {
        fallback::imports(&block, errors)
    }
}

pub(crate) fn exports(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let attrs = attr::parse(args, Place::Exports, &mut errors);
    let mut list: ItemTrait = match syn::parse2(item.clone()) {
        Ok(list) => list,
        Err(error) => {
            errors.push(other_item(item, error, "`#[asyncify::exports]` belongs on a trait that lists the guest's functions; write `trait App { … }`"));
            return fallback::not_a_trait(item, errors);
        }
    };
    let mut helpers = Vec::new();
    for item in &mut list.items {
        match item {
            TraitItem::Fn(item) => {
                helpers.push(attr::take(&mut item.attrs, Place::Export, &mut errors));
            }
            TraitItem::Const(item) => take_elsewhere(&mut item.attrs, &mut errors),
            TraitItem::Type(item) => take_elsewhere(&mut item.attrs, &mut errors),
            TraitItem::Macro(item) => take_elsewhere(&mut item.attrs, &mut errors),
            _ => {}
        }
    }
    let functions = list.items.iter().filter_map(|item| match item {
        TraitItem::Fn(function) => Some(function),
        _ => None,
    });
    let functions = functions
        .zip(&helpers)
        .map(|(function, attrs)| Function::new(&function.sig, attrs, &function.attrs))
        .collect();
    let list = Exports { original: &list, attrs: &attrs, functions };
    check::exports(&list, &mut errors);
    if errors.is_empty() {
        expand::exports::expand(&list)
    } else {
        fallback::exports(&list, errors)
    }
}

/// The mistake of annotating `item`, which is not what the attribute takes. What the compiler
/// knows and this parser does not keeps the parser's own message.
fn other_item(item: &TokenStream, error: syn::Error, message: &str) -> syn::Error {
    let keyword = match syn::parse2(item.clone()) {
        Ok(Item::Const(item)) => item.const_token.to_token_stream(),
        Ok(Item::Enum(item)) => item.enum_token.to_token_stream(),
        Ok(Item::Fn(item)) => item.sig.fn_token.to_token_stream(),
        Ok(Item::Impl(item)) => item.impl_token.to_token_stream(),
        Ok(Item::Mod(item)) => item.mod_token.to_token_stream(),
        Ok(Item::Static(item)) => item.static_token.to_token_stream(),
        Ok(Item::Struct(item)) => item.struct_token.to_token_stream(),
        Ok(Item::Trait(item)) => item.trait_token.to_token_stream(),
        Ok(Item::Type(item)) => item.type_token.to_token_stream(),
        Ok(Item::Union(item)) => item.union_token.to_token_stream(),
        Ok(Item::Verbatim(_)) | Err(_) => return error,
        Ok(other) => other.to_token_stream(),
    };
    syn::Error::new_spanned(keyword, message)
}

#[cfg(test)]
mod tests;
