//! After a mistake: the user's item and a stub of what would have been generated, so that the
//! mistakes are all that is told.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, Item, Type};

use crate::errors::Errors;
use crate::expand::{self, runtime};
use crate::model::{Exports, Function, Imports, krate};

/// The block, and a host without imports.
pub(crate) fn imports(block: &Imports<'_>, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    let original = block.original;
    let rt = runtime(&krate(block.attrs));
    let (generics, _, clause) = original.generics.split_for_impl();
    let stub = no_imports(&rt, &quote!(#generics), &original.self_ty, &quote!(#clause));
    let items =
        original.generics.params.is_empty().then(|| expand::imports::inherent_items(block, &rt));
    quote!(#errors #original #items #stub)
}

fn no_imports(
    rt: &TokenStream,
    generics: &TokenStream,
    host: &Type,
    clause: &TokenStream,
) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl #generics #rt::Imports for #host #clause {
            const IMPORTS: &'static [#rt::ImportInfo] = &[];
            fn register<__T: ::core::marker::Send + 'static>(
                _: #rt::Arc<Self>,
                _: &mut #rt::AsyncImports<__T>,
            ) {
            }
        }
    }
}

/// Something else than an inherent block.
pub(crate) fn not_a_block(item: &TokenStream, rt: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    // A host that is annotated where it is defined is a host all the same.
    let host = match syn::parse2(item.clone()) {
        Ok(Item::Struct(item)) if item.generics.params.is_empty() => Some(item.ident),
        Ok(Item::Enum(item)) if item.generics.params.is_empty() => Some(item.ident),
        _ => None,
    };
    let stub = host.map(|host| {
        no_imports(rt, &TokenStream::new(), &syn::parse_quote!(#host), &TokenStream::new())
    });
    quote!(#errors #item #stub)
}

/// Something else than a trait.
pub(crate) fn not_a_trait(item: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    quote!(#errors #item)
}

/// The trait, and a struct that cannot be made, with every method.
pub(crate) fn exports(list: &Exports<'_>, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    let rt = runtime(&krate(list.attrs));
    let the_trait = expand::exports::the_trait(list);
    let (vis, name) = (&list.original.vis, expand::exports::struct_name(list));
    let docs = expand::exports::struct_docs(list);
    let trait_name = list.original.ident.to_string();
    // The trait's own parameters mean nothing in the struct.
    let concrete = list.original.generics.params.is_empty();
    let methods =
        list.functions.iter().filter(|_| concrete).map(|function| stub_method(&rt, list, function));
    quote! {
        #errors
        #the_trait

        #docs
        #[allow(dead_code)]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #name {
            never: ::core::convert::Infallible,
        }

        #[allow(dead_code, unused_variables)]
        #[automatically_derived]
        impl #name {
            #(#methods)*
        }

        #[automatically_derived]
        impl #rt::Exports for #name {
            const NAME: &'static str = #trait_name;
            const EXPORTS: &'static [#rt::ExportInfo] = &[];
            fn from_guest_exports<__T: ::core::marker::Send + 'static>(
                _: &mut #rt::ExportLookup<'_, __T>,
            ) -> ::core::option::Option<Self> {
                ::core::option::Option::None
            }
        }
    }
}

/// The method with the signature that was meant, as far as that can be told.
fn stub_method(rt: &TokenStream, list: &Exports<'_>, function: &Function<'_>) -> TokenStream {
    let vis = &list.original.vis;
    let carried = expand::exports::carried(function);
    let docs = expand::exports::method_docs(function);
    let (ident, generics) = (function.ident(), &function.original.generics);
    let clause = &generics.where_clause;
    let params =
        function.original.inputs.iter().enumerate().filter_map(|(index, input)| match input {
            FnArg::Typed(param) => {
                let (name, ty) = (format_ident!("_arg{index}"), &param.ty);
                Some(quote!(#name: #ty))
            }
            FnArg::Receiver(_) => None,
        });
    let result = expand::result(function);
    quote! {
        #(#carried)*
        #docs
        #vis fn #ident #generics(&self, #(#params),*) -> #rt::Call<#result> #clause {
            match self.never {}
        }
    }
}
