//! An imports block: the block itself, the list of imports, and how they are registered. What the
//! user wrote is never changed.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Token, Type};

use super::parts;
use super::pieces::{
    Ends, Runtime, checked, hidden, kinds, mode, nested, param_infos, result, result_text,
};
use crate::model::{Attrs, Function, Imports, Kind, cfgs};

// Input:
//     impl Host {
//         async fn fetch(&self, url: &str) -> u32 { … }
//     }
//
// Output:
//     impl Host {
//         async fn fetch(&self, url: &str) -> u32 { … }
//     }
//     const _: () = {
//         const __HOST: bool = is_shared::<Host>();
//         type __Host = Host;
//         const __IMPORT_0: ImportInfo = …;
//         fn __register_0<T: Send + 'static>(…) { … }
//         impl Host {
//             pub const IMPORTS: &'static [ImportInfo] = <Self as Imports>::IMPORTS;
//             pub fn wasm_opt_args() -> String { host_wasm_opt_args::<Self>() }
//         }
//         impl Imports for Host {
//             const IMPORTS: &'static [ImportInfo] = &[__IMPORT_0];
//             fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>) {
//                 __register_0(&host, imports);
//             }
//         }
//     };
pub(crate) fn expand(block: &Imports<'_>) -> TokenStream {
    let rt = Runtime::Short;
    let original = block.original;
    let host = &original.self_ty;
    let Ends(at, _) = Ends::of(host);
    let is_shared = quote_spanned!(at=> is_shared);
    let Attrs { part, parts: others, .. } = block.attrs;
    let functions = || block.functions.iter().enumerate();
    let infos = functions().map(|(index, function)| info(rt, block, index, function));
    let listed = functions().map(|(index, function)| {
        let (cfgs, name) = (function.cfgs(), info_name(index));
        quote!(#(#cfgs)* #name)
    });
    let registrations =
        functions().map(|(index, function)| registration(rt, block, index, function));
    let (shared, imports) = (local("host", Span::call_site()), local("imports", Span::call_site()));
    let registered = functions().map(|(index, function)| {
        let (cfgs, name) = (function.cfgs(), registration_name(index));
        quote!(#(#cfgs)* #name(&#shared, #imports);)
    });
    let registered_parts = parts::registered(rt, host, others, (&shared, &imports));
    let all = parts::all(rt, &quote!(&[#(#listed),*]), host, others);
    let list = quote!(const IMPORTS: &'static [#rt::ImportInfo] = #all;);
    let register = quote! {
        fn register<__T: ::core::marker::Send + 'static>(
            #shared: #rt::Arc<#host>,
            #imports: &mut #rt::AsyncImports<__T>,
        ) {
            #(#registered)*
            #registered_parts
        }
    };
    let implementation = if let Some(part) = part {
        parts::part(rt, host, part, &list, &register)
    } else {
        // These stand where the type does: conflicting implementations are told there.
        let inherent = inherent(host);
        let implementation = quote_spanned!(at=> impl #rt::Imports for #host { #list #register });
        let listed = parts::listed(rt, host, others);
        quote! {
            #inherent

            #listed

            #[automatically_derived]
            #implementation
        }
    };

    let hidden = hidden(
        block.attrs,
        &cfgs(&original.attrs),
        &quote! {
            const __HOST: ::core::primitive::bool = #rt::#is_shared::<#host>();
            type __Host = #rt::Checked<{ __HOST }, #host>;
            #(#infos)*
            #(#registrations)*
            #implementation
        },
    );
    quote!(#original #hidden)
}

/// What the user reaches by the host's name. It stands where that name does: a second block on the
/// same type is told there.
pub(crate) fn inherent(host: &Type) -> TokenStream {
    let Ends(at, _) = Ends::of(host);
    quote_spanned! {Span::call_site().located_at(at)=>
        #[automatically_derived]
        impl #host {
            /// Every import of this host, as the guest sees it.
            pub const IMPORTS: &'static [__rt::ImportInfo] = <Self as __rt::Imports>::IMPORTS;

            /// What `wasm-opt` needs to instrument a guest of this host.
            #[must_use]
            pub fn wasm_opt_args() -> __rt::String {
                __rt::host_wasm_opt_args::<Self>()
            }
        }
    }
}

// Input:
//     /// Reads a page.
//     async fn fetch(&self, url: &str) -> u32
//
// Output:
//     const __IMPORT_0: ImportInfo = ImportInfo::new::<Direct, u32>(
//         "env", "fetch", true,
//         &[ParamInfo::by_ref::<str>("url", "&str")],
//         "u32", "Reads a page.",
//     );
fn info(
    rt: Runtime<'_>,
    block: &Imports<'_>,
    index: usize,
    function: &Function<'_>,
) -> TokenStream {
    let cfgs = function.cfgs();
    let constant = info_name(index);
    let module = block.module(function);
    let name = function.name();
    // A trampoline does not wait itself, and its callers are left and rewound all the same.
    let suspending = function.is_async() || function.attrs.trampoline.is_some();
    let (mode, result, text) = (mode(rt, function), result(function), result_text(function));
    let params = param_infos(rt, function, "");
    let docs = function.docs();
    // Stands where the function's name does: that it has too many values is told there.
    let at = Span::call_site().located_at(function.ident().span());
    let rt = rt.at(at);
    quote_spanned! {at=>
        #(#cfgs)*
        const #constant: #rt::ImportInfo = #rt::ImportInfo::new::<#mode, #result>(
            #module, #name, #suspending, #params, #text, #docs,
        );
    }
}

// Input:
//     async fn fetch(&self, url: &str, out: &mut OutBuf) -> u32
//
// Output:
//     fn __register_0<T: Send + 'static>(
//         host: &Arc<__Host>,
//         imports: &mut Checked<{ __IMPORT_0.suspending }, AsyncImports<T>>,
//     ) {
//         imports.suspending::<(Ref<str>, (Mut<OutBuf>, ())), Direct, u32, _, _, _>(
//             &__IMPORT_0, host, |host, (arg0, (mut arg1, ()))| …,
//         );
//     }
//
// It is a function of its own because the closures of one function cost the compiler the square of
// their number, even where it has checked them before.
//
// A type that cannot cross is an error of `__IMPORT_0`, on that type; a host that cannot be shared
// is one of `__HOST`. `Checked` around what takes them keeps them from being said again here.
fn registration(
    rt: Runtime<'_>,
    block: &Imports<'_>,
    index: usize,
    function: &Function<'_>,
) -> TokenStream {
    let (cfgs, info, name) = (function.cfgs(), info_name(index), registration_name(index));
    let ident = function.ident();
    let at = Span::call_site().located_at(ident.span());
    let (host, imports) = (local("host", at), local("imports", at));
    let method = if function.is_async() {
        "suspending"
    } else if function.attrs.trampoline.is_some() {
        "trampoline"
    } else if function.guest.is_some() {
        "plain_with_guest"
    } else {
        "plain"
    };
    let method = Ident::new(method, ident.span());
    let (params, mode, result) = (kinds(rt, function), mode(rt, function), result(function));
    let future = function.is_async().then(|| quote_spanned!(at=> , _));
    let body = body(&block.original.self_ty, function, at);
    let filled = quote_spanned!(at=> #rt::AsyncImports<__T>);
    let filled = checked(rt, &quote!(#info), &filled);
    quote_spanned! {at=>
        #(#cfgs)*
        fn #name<__T: ::core::marker::Send + 'static>(
            #host: &#rt::Arc<__Host>,
            #imports: &mut #filled,
        ) {
            #imports.#method::<#params, #mode, #result, _, _ #future>(&#info, #host, #body);
        }
    }
}

// Input:
//     async fn fetch(&self, url: &str, out: &mut OutBuf) -> u32
//
// Output:
//     |host, (arg0, (mut arg1, ()))| async move {
//         let answer = <Host>::fetch(&host, arg0.as_ref(), &mut arg1).await;
//         (host, answer, ((), (arg1, ())))
//     }
//
// All of it stands `at` one place. If a part of the `async` block stood in another, the compiler
// would look for it in the whole crate, and check all of this again when that has grown.
fn body(self_ty: &Type, function: &Function<'_>, at: Span) -> TokenStream {
    let (host, answer) = (local("host", at), local("answer", at));
    let owned = function.is_async() || function.guest.is_some();
    let params = || {
        let params = function.params.iter().enumerate();
        params.map(|(index, param)| (local(&format!("arg{index}"), at), param.kind))
    };
    let pattern = nested(params().map(|(arg, kind)| {
        let mutable = (owned && kind == Kind::Mut).then(|| Token![mut](at));
        quote!(#mutable #arg)
    }));
    let kept = nested(params().map(|(arg, kind)| match kind {
        Kind::Mut => quote!(#arg),
        Kind::Ref | Kind::Val => quote_spanned!(at=> ()),
    }));
    let passed = params().map(|(arg, kind)| match kind {
        Kind::Ref if owned => quote_spanned!(at=> ::core::convert::AsRef::as_ref(&#arg)),
        Kind::Mut if owned => quote_spanned!(at=> &mut #arg),
        _ => quote!(#arg),
    });
    let receiver = function.receiver().map(|_| {
        let reference = function.is_async().then(|| Token![&](at));
        quote_spanned!(at=> #reference #host,)
    });
    let guest = function.guest.map(|guest| {
        // A type that is not the guest's is told at the parameter.
        let Ends(at, _) = Ends::of(&guest.pat);
        let cx = local("cx", at);
        quote!(#cx,)
    });
    let ident = function.ident();
    let call = quote_spanned!(at=> <#self_ty>::#ident(#receiver #guest #(#passed),*));

    if function.is_async() {
        quote_spanned! {at=>
            |#host, #pattern| async move {
                let #answer = #call.await;
                (#host, #answer, #kept)
            }
        }
    } else if function.guest.is_some() {
        quote_spanned! {at=>
            |#host, #guest #pattern| {
                let #answer = #call;
                (#answer, #kept)
            }
        }
    } else {
        quote_spanned!(at=> |#host, #pattern| #call)
    }
}

fn info_name(index: usize) -> Ident {
    format_ident!("__IMPORT_{index}")
}

fn registration_name(index: usize) -> Ident {
    format_ident!("__register_{index}")
}

/// A variable that no name of the user's can be taken for: hygiene keeps variables apart, and the
/// underscores constants, which a pattern would mean.
fn local(name: &str, at: Span) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site().located_at(at))
}
