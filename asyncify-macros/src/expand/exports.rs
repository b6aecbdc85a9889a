//! An exports trait: the trait itself, and a struct with a method for each function. It never says
//! which wasm values a type is: what it makes asks the type's traits.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Pat, Visibility};

use super::pieces::{
    Runtime, arg, checked, hidden, kinds, mode, nested, param_infos, result, result_text,
};
use crate::model::{Exports, Function, Kind, Param, allow, allowed, cfgs, krate, only};

// Input:
//     trait App {
//         async fn run(&self, pages: u32) -> u32;
//     }
//
// Output:
//     trait App {
//         async fn run(&self, pages: u32) -> u32;
//     }
//     #[derive(Clone, Debug)]
//     struct AppExports {
//         run: ExportFn<(Val<u32>, ()), Direct, u32>,
//     }
//     const _: () = {
//         impl AppExports {
//             const __EXPORT_0: ExportInfo = …;
//             pub fn run(&self, pages: u32) -> Call<u32> { self.run.call((pages, ())) }
//         }
//         impl Exports for AppExports {
//             const NAME: &'static str = "App";
//             const EXPORTS: &'static [ExportInfo] = &[Self::__EXPORT_0];
//             fn from_guest_exports<T>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
//                 let arg0 = lookup.function(&Self::__EXPORT_0);
//                 Some(Self { run: arg0? })
//             }
//         }
//     };
//
// A type that cannot cross is an error of `__EXPORT_0`, on that type; `Checked` around the three
// types of the field keeps it from being said again wherever the field is used.
//
// What the trait and its functions allow is allowed in what is made of them: names and types are the
// same, and so is what a lint says of them.
pub(crate) fn expand(list: &Exports<'_>) -> TokenStream {
    let krate = krate(list.attrs);
    let (runtime, rt) = (Runtime::Full(&krate), Runtime::Short);
    let (cfgs, allowed) = (cfgs(&list.original.attrs), allowed(&list.original.attrs));
    let the_trait = the_trait(list);
    let (struct_docs, vis, name) = (struct_docs(list), &list.original.vis, struct_name(list));
    let trait_name = list.original.ident.to_string();

    let functions = || list.functions.iter().enumerate();
    let fields = functions().map(|(index, function)| {
        let (field, info) = (field(function), info_name(index));
        let (cfgs, allowed) = (function.cfgs(), function.allowed());
        let [args, mode, result] =
            [kinds(runtime, function), mode(runtime, function), result(function)]
                .map(|ty| checked(runtime, &quote!(#name::#info), &ty));
        quote!(#(#cfgs)* #(#allowed)* #field: #runtime::ExportFn<#args, #mode, #result>)
    });
    let infos = functions().map(|(index, function)| info(rt, index, function));
    let methods = functions().map(|(_, function)| method(rt, vis, function));
    let listed = functions().map(|(index, function)| {
        let (cfgs, info) = (function.cfgs(), info_name(index));
        quote!(#(#cfgs)* Self::#info)
    });
    let lookup = Ident::new("__lookup", Span::mixed_site());
    let looked_up = functions().map(|(index, function)| {
        let (cfgs, info, found) = (function.cfgs(), info_name(index), arg(index));
        quote!(#(#cfgs)* let #found = #lookup.function(&Self::#info);)
    });
    let found = functions().map(|(index, function)| {
        let (cfgs, ident, found) = (function.cfgs(), function.ident(), arg(index));
        quote!(#(#cfgs)* #ident: #found?)
    });

    let hidden = hidden(
        list.attrs,
        &cfgs,
        &quote! {
            #[automatically_derived]
            #(#allowed)*
            impl #name {
                #(#infos)*
                #(#methods)*
            }

            #[automatically_derived]
            impl #rt::Exports for #name {
                const NAME: &'static ::core::primitive::str = #trait_name;
                const EXPORTS: &'static [#rt::ExportInfo] = &[#(#listed),*];

                fn from_guest_exports<__T: ::core::marker::Send + 'static>(
                    #lookup: &mut #rt::ExportLookup<'_, __T>,
                ) -> ::core::option::Option<Self> {
                    #(#looked_up)*
                    ::core::option::Option::Some(Self { #(#found),* })
                }
            }
        },
    );
    quote! {
        #the_trait

        #(#cfgs)*
        #struct_docs
        #[allow(dead_code, unused_qualifications)]
        #(#allowed)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #name {
            #(#fields,)*
        }

        #hidden
    }
}

/// The trait as written: it is a list of signatures, which nobody implements.
pub(crate) fn the_trait(list: &Exports<'_>) -> TokenStream {
    let original = list.original;
    quote! {
        #[allow(async_fn_in_trait, dead_code)]
        #original
    }
}

pub(crate) fn struct_name(list: &Exports<'_>) -> Ident {
    format_ident!("{}Exports", list.original.ident)
}

/// The trait's own words, after a sentence that says what the struct is.
pub(crate) fn struct_docs(list: &Exports<'_>) -> TokenStream {
    let ident = &list.original.ident;
    let first = format!(" The guest's exports that [`{ident}`] lists, made by `guest.exports()`.");
    let docs: Vec<_> =
        list.original.attrs.iter().filter(|attr| attr.path().is_ident("doc")).collect();
    let between = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    quote!(#[doc = #first] #between #(#docs)*)
}

// Input:
//     /// Works on so many pages.
//     async fn run(&self, pages: u32) -> u32;
//
// Output:
//     const __EXPORT_0: ExportInfo = ExportInfo::new::<Direct, u32>(
//         "run", true,
//         &[ParamInfo::arg_val::<u32>("pages", "u32")],
//         "u32", "Works on so many pages.",
//     );
fn info(rt: Runtime<'_>, index: usize, function: &Function<'_>) -> TokenStream {
    let cfgs = function.cfgs();
    let constant = info_name(index);
    let (name, suspending) = (function.name(), function.is_async());
    let (mode, result, text) = (mode(rt, function), result(function), result_text(function));
    let params = param_infos(rt, function, "arg_");
    let docs = function.docs();
    // Stands where the function's name does: that it has too many values is told there.
    let at = Span::call_site().located_at(function.ident().span());
    let rt = rt.at(at);
    quote_spanned! {at=>
        #(#cfgs)*
        const #constant: #rt::ExportInfo = #rt::ExportInfo::new::<#mode, #result>(
            #name, #suspending, #params, #text, #docs,
        );
    }
}

// Input:
//     async fn greet(&self, name: &str, times: u32) -> String;
//
// Output:
//     pub fn greet(&self, name: &str, times: u32) -> Call<String> {
//         self.greet.call((name.into(), (times, ())))
//     }
//
// What must not suspend needs nothing of its own while it waits for its turn. Input:
//     fn version(&self) -> u32;
//
// Output:
//     pub fn version(&self) -> impl Future<Output = Result<u32>> + Send + use<'_> {
//         self.version.call_plain(())
//     }
//
// They are inlined: a future that is made where it is used is not copied, and copying what was
// written just before stalls a processor.
fn method(rt: Runtime<'_>, vis: &Visibility, function: &Function<'_>) -> TokenStream {
    let (ident, result) = (function.ident(), result(function));
    let (carried, docs) = (carried(function), method_docs(function));
    let params = function.params.iter().enumerate().map(|(index, param)| {
        let (name, ty) = (param_name(index, param), &param.original.ty);
        quote!(#name: #ty)
    });
    let passed = nested(function.params.iter().enumerate().map(|(index, param)| {
        let name = param_name(index, param);
        if param.kind == Kind::Ref {
            quote!(::core::convert::Into::into(#name))
        } else {
            quote!(#name)
        }
    }));
    let (call, returned) = if function.is_async() {
        (quote!(call), quote!(#rt::Call<#result>))
    } else {
        let future = quote!(::core::future::Future<Output = #rt::Result<#result>>);
        (quote!(call_plain), quote!(impl #future + ::core::marker::Send + use<'_>))
    };
    quote! {
        #(#carried)*
        #docs
        #[inline]
        #vis fn #ident(&self, #(#params),*) -> #returned {
            self.#ident.#call(#passed)
        }
    }
}

/// The function's name, as one that the user did not type: what a lint says of it was told at the
/// trait, and for a field it asks only what the struct allows.
fn field(function: &Function<'_>) -> Ident {
    let mut field = function.ident().clone();
    field.set_span(Span::call_site().located_at(field.span()));
    field
}

/// What the method has of the function: what a caller is told about it, and what it is allowed.
pub(crate) fn carried(function: &Function<'_>) -> Vec<Attribute> {
    let carried = ["cfg", "doc", "must_use", "deprecated"];
    only(function.others, |meta| {
        let as_it_is = carried.iter().any(|name| meta.path().is_ident(name));
        if as_it_is { Some(meta.clone()) } else { allow(meta) }
    })
}

pub(crate) fn method_docs(function: &Function<'_>) -> Option<TokenStream> {
    let documented = function.others.iter().any(|attr| attr.path().is_ident("doc"));
    (!documented).then(|| {
        let docs = match function.name() {
            name if name.is_empty() => " Calls the guest's export of the empty name.".to_owned(),
            name => format!(" Calls the guest's `{name}`."),
        };
        quote!(#[doc = #docs])
    })
}

/// The user's name, for whoever reads the method's signature.
fn param_name(index: usize, param: &Param<'_>) -> Ident {
    match &*param.original.pat {
        Pat::Ident(pat) => pat.ident.clone(),
        _ => arg(index),
    }
}

fn info_name(index: usize) -> Ident {
    format_ident!("__EXPORT_{index}")
}
