//! After a mistake: the user's item and a stub of what would have been generated, so that the
//! mistakes are all that is told. It never adds one.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, Generics, ImplItem, Item, Pat, Signature, Type};

use crate::check::types::Parts;
use crate::errors::Errors;
use crate::expand::{self, hidden};
use crate::model::{Attrs, Exports, Function, Imports, allowed, cfgs, type_text};

/// The block, and a host without imports.
pub(crate) fn imports(block: &Imports<'_>, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    let mut original = block.original.clone();
    for item in &mut original.items {
        if let ImplItem::Fn(function) = item {
            without_dots(&mut function.sig);
        }
    }
    let stub = no_imports(&original.generics, &original.self_ty, block.attrs);
    let hidden = hidden(block.attrs, &cfgs(&original.attrs), &stub);
    quote!(#errors #original #hidden)
}

/// The mistake was told; the compiler would tell it in words of its own, twice.
fn without_dots(sig: &mut Signature) {
    sig.variadic
        .take_if(|dots| dots.pat.as_ref().is_none_or(|(pat, _)| matches!(**pat, Pat::Wild(_))));
}

fn no_imports(generics: &Generics, host: &Type, attrs: &Attrs) -> TokenStream {
    // A type that borrows cannot be a host, not even one without imports.
    if Parts::of(host).borrows() {
        return TokenStream::new();
    }
    let first = attrs.part.is_none();
    let inherent = (first && generics.params.is_empty()).then(|| expand::imports::inherent(host));
    let (generics, _, clause) = generics.split_for_impl();
    // One that is listed twice is told of already.
    let is_new = |(index, part): &(usize, &Type)| {
        !attrs.parts[..*index].iter().any(|other| type_text(other) == type_text(part))
    };
    let parts = attrs.parts.iter().enumerate().filter(is_new).map(|(_, part)| part);
    let implemented = match &attrs.part {
        Some(part) => quote!(PartOf<#host> for #part),
        None => quote!(Imports for #host),
    };
    quote! {
        #inherent

        #(#[automatically_derived] impl #generics __rt::ListedBy<#host> for #parts #clause {})*

        #[automatically_derived]
        impl #generics __rt::#implemented #clause {
            const IMPORTS: &'static [__rt::ImportInfo] = &[];

            fn register<__T: ::core::marker::Send + 'static>(
                _: __rt::Arc<#host>,
                _: &mut __rt::AsyncImports<__T>,
            ) {
            }
        }
    }
}

/// Something else than an inherent block.
pub(crate) fn not_a_block(item: &TokenStream, attrs: &Attrs, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    // A host that is annotated where it is defined is a host all the same.
    let host = match syn::parse2(item.clone()) {
        Ok(Item::Struct(item)) if item.generics.params.is_empty() => Some(item.ident),
        Ok(Item::Enum(item)) if item.generics.params.is_empty() => Some(item.ident),
        _ => None,
    };
    let stub = host.map(|host| {
        let stub = no_imports(&Generics::default(), &syn::parse_quote!(#host), attrs);
        hidden(attrs, &[], &stub)
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
    let the_trait = expand::exports::the_trait(list);
    let (vis, name) = (&list.original.vis, expand::exports::struct_name(list));
    let docs = expand::exports::struct_docs(list);
    let trait_name = list.original.ident.to_string();
    let (cfgs, allowed) = (cfgs(&list.original.attrs), allowed(&list.original.attrs));
    // The trait's own parameters mean nothing in the struct.
    let concrete = list.original.generics.params.is_empty();
    let methods = list.functions.iter().filter(|_| concrete);
    let methods = methods.map(|function| stub_method(vis, function));
    let hidden = hidden(
        list.attrs,
        &cfgs,
        &quote! {
            #[automatically_derived]
            #(#allowed)*
            impl #name {
                #(#methods)*
            }

            #[automatically_derived]
            impl __rt::Exports for #name {
                const NAME: &'static ::core::primitive::str = #trait_name;
                const EXPORTS: &'static [__rt::ExportInfo] = &[];

                fn from_guest_exports<__T: ::core::marker::Send + 'static>(
                    _: &mut __rt::ExportLookup<'_, __T>,
                ) -> ::core::option::Option<Self> {
                    ::core::option::Option::None
                }
            }
        },
    );
    quote! {
        #errors
        #the_trait

        #(#cfgs)*
        #docs
        #[allow(dead_code)]
        #(#allowed)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #name {
            never: ::core::convert::Infallible,
        }

        #hidden
    }
}

/// The method with the signature that was meant, as far as that can be told.
fn stub_method(vis: &impl ToTokens, function: &Function<'_>) -> TokenStream {
    let carried = expand::exports::carried(function);
    let docs = expand::exports::method_docs(function);
    let (ident, generics) = (function.ident(), &function.original.generics);
    let clause = &generics.where_clause;
    let inputs = function.original.inputs.iter().enumerate();
    let params = inputs.filter_map(|(index, input)| match input {
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
        #vis fn #ident #generics(&self, #(#params),*) -> __rt::Call<#result> #clause {
            match self.never {}
        }
    }
}
