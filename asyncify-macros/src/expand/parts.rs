//! A host whose imports stand in several blocks: one of them lists the others, by a type of the
//! user's that names each. It never sees a function.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;

use super::pieces::{Ends, Runtime};

// Input:
//     #[asyncify::imports(module = "net", part = Net)]
//
// Output:
//     const _: bool = is_listed::<Net, Host>();
//     impl PartOf<Host> for Net { … }
//
// That nothing lists it is told at the part's name.
pub(super) fn part(
    rt: Runtime<'_>,
    host: &Type,
    part: &Type,
    list: &TokenStream,
    register: &TokenStream,
) -> TokenStream {
    let is_listed = asked(rt, "is_listed", part, host);
    quote! {
        const _: ::core::primitive::bool = #is_listed;

        #[automatically_derived]
        impl #rt::PartOf<#host> for #part { #list #register }
    }
}

// Input:
//     #[asyncify::imports(module = "files", parts = [Net])]
//
// Output:
//     const __PART_0: bool = is_part::<Net, Host>();
//     impl ListedBy<Host> for Net {}
//
// That there is no such part is an error of `__PART_0`; `Checked` keeps it from being said again.
pub(super) fn listed(rt: Runtime<'_>, host: &Type, parts: &[Type]) -> TokenStream {
    let parts = parts.iter().enumerate().map(|(index, part)| {
        let (name, is_part) = (constant(index), asked(rt, "is_part", part, host));
        quote! {
            const #name: ::core::primitive::bool = #is_part;

            #[automatically_derived]
            impl #rt::ListedBy<#host> for #part {}
        }
    });
    parts.collect()
}

/// The part with this index, as what it is to its host: `<Net as PartOf<Host>>`.
fn part_of(rt: Runtime<'_>, host: &Type, (index, part): (usize, &Type)) -> TokenStream {
    let name = constant(index);
    quote!(<#rt::Checked<{ #name }, #part> as #rt::PartOf<#host>>)
}

/// The imports of the block and of its parts, as one list.
pub(super) fn all(rt: Runtime<'_>, own: &TokenStream, host: &Type, parts: &[Type]) -> TokenStream {
    if parts.is_empty() {
        return quote!(#own);
    }
    let parts = parts.iter().enumerate().map(|part| part_of(rt, host, part));
    quote!({
        const __LISTS: &[&[#rt::ImportInfo]] = &[#own #(, #parts::IMPORTS)*];
        &#rt::join::<{ #rt::total(__LISTS) }>(__LISTS)
    })
}

/// Adds the imports of the parts.
pub(super) fn registered(
    rt: Runtime<'_>,
    host: &Type,
    parts: &[Type],
    (shared, imports): (&Ident, &Ident),
) -> TokenStream {
    let parts = parts.iter().enumerate().map(|part| part_of(rt, host, part));
    quote!(#(#parts::register(#rt::Arc::clone(&#shared), #imports);)*)
}

/// Asks something of a part, where its name stands.
fn asked(rt: Runtime<'_>, question: &str, part: &Type, host: &Type) -> TokenStream {
    let Ends(first, last) = Ends::of(part);
    let (rt, question) = (rt.at(first), Ident::new(question, first));
    let open = quote_spanned!(first=> ::#question::<);
    let close = quote_spanned!(last=> , #host>());
    quote!(#rt #open #part #close)
}

fn constant(index: usize) -> Ident {
    format_ident!("__PART_{index}")
}
