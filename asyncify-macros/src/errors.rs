//! All mistakes of one annotated item, told at once. It finds none itself, and words none.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Collects mistakes, each on the tokens that the user typed.
#[derive(Default)]
pub(crate) struct Errors {
    mistakes: Option<syn::Error>,
    told_by_compiler: bool,
}

impl Errors {
    /// One mistake, underlining `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.mistakes {
            Some(mistakes) => mistakes.combine(error),
            None => self.mistakes = Some(error),
        }
    }

    /// A mistake that the compiler tells by itself in the user's own item: nothing is added to
    /// that, but nothing that would repeat it is generated either.
    pub(crate) fn leave_to_compiler(&mut self) {
        self.told_by_compiler = true;
    }

    /// The value, or its error among the others.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mistakes.is_none() && !self.told_by_compiler
    }

    /// One `compile_error!` for each mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.mistakes.map(syn::Error::into_compile_error).unwrap_or_default()
    }
}

#[cfg(test)]
impl Errors {
    /// The messages in order.
    pub(crate) fn messages(self) -> Vec<String> {
        self.mistakes.into_iter().flatten().map(|error| error.to_string()).collect()
    }
}
