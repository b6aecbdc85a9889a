//! An imports block: the block itself, the list of imports, and how they are registered.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;

use super::{
    Ends, Runtime, arg, checked, hidden, kinds, mode, nested, param_infos, result, result_text,
};
use crate::model::{Function, Imports, Kind, cfgs};

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
//         impl Host {
//             pub const IMPORTS: &'static [ImportInfo] = <Self as Imports>::IMPORTS;
//             pub fn wasm_opt_args() -> String { host_wasm_opt_args::<Self>() }
//         }
//         impl OneBlockForEachTypeAndModuleForEachFunction for Host {}
//         impl Imports for Host {
//             const IMPORTS: &'static [ImportInfo] = &[__IMPORT_0];
//             fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>) {
//                 imports.suspending::<…>(…);
//             }
//         }
//     };
pub(crate) fn expand(block: &Imports<'_>) -> TokenStream {
    let rt = Runtime::Short;
    let original = block.original;
    let host = &original.self_ty;
    let Ends(at, _) = Ends::of(host);
    let is_shared = quote_spanned!(at=> is_shared);
    let inherent = inherent(host);
    let functions = || block.functions.iter().enumerate();
    let infos = functions().map(|(index, function)| info(rt, block, index, function));
    let listed = functions().map(|(index, function)| {
        let (cfgs, name) = (function.cfgs(), info_name(index));
        quote!(#(#cfgs)* #name)
    });
    let registered = functions().map(|(index, function)| {
        let cfgs = function.cfgs();
        let registration = registration(rt, block, index, function);
        quote!(#(#cfgs)* #registration)
    });
    let (shared, imports) = (local("host"), local("imports"));
    let list = quote!(const IMPORTS: &'static [#rt::ImportInfo] = &[#(#listed),*];);
    let register = quote! {
        fn register<__T: ::core::marker::Send + 'static>(
            #shared: #rt::Arc<Self>,
            #imports: &mut #rt::AsyncImports<__T>,
        ) {
            #(#registered)*
        }
    };
    // These stand where the type does: conflicting implementations are told there.
    let rule =
        quote_spanned!(at=> impl #rt::OneBlockForEachTypeAndModuleForEachFunction for #host {});
    let implementation = quote_spanned!(at=> impl #rt::Imports for #host { #list #register });

    let hidden = hidden(
        block.attrs,
        &cfgs(&original.attrs),
        &quote! {
            const __HOST: ::core::primitive::bool = #rt::#is_shared::<#host>();
            type __Host = #rt::Checked<{ __HOST }, #host>;
            #(#infos)*
            #inherent

            #[automatically_derived]
            #rule

            #[automatically_derived]
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
            pub fn wasm_opt_args() -> ::std::string::String {
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
//     imports.suspending::<(Ref<str>, (Mut<OutBuf>, ())), Direct, u32, __Host, _, _>(
//         &__IMPORT_0,
//         &host,
//         |host, (arg0, (mut arg1, ()))| async move {
//             let answer = <Host>::fetch(&host, arg0.as_ref(), &mut arg1).await;
//             (host, answer, ((), (arg1, ())))
//         },
//     );
//
// A type that cannot cross is an error of `__IMPORT_0`, on that type; a host that cannot be shared
// is one of `__HOST`. `Checked` around all four types keeps them from being said again here.
fn registration(
    rt: Runtime<'_>,
    block: &Imports<'_>,
    index: usize,
    function: &Function<'_>,
) -> TokenStream {
    let info = info_name(index);
    let ident = function.ident();
    let (host, imports, cx, answer) =
        (local("host"), local("imports"), local("cx"), local("answer"));
    let self_ty = &block.original.self_ty;

    let owned = function.is_async() || function.guest.is_some();
    let params = || function.params.iter().enumerate();
    let pattern = nested(params().map(|(index, param)| {
        let arg = arg(index);
        if owned && param.kind == Kind::Mut { quote!(mut #arg) } else { quote!(#arg) }
    }));
    let kept = nested(params().map(|(index, param)| {
        let arg = arg(index);
        if param.kind == Kind::Mut { quote!(#arg) } else { quote!(()) }
    }));
    let passed = params().map(|(index, param)| {
        let arg = arg(index);
        match param.kind {
            Kind::Ref if owned => quote!(::core::convert::AsRef::as_ref(&#arg)),
            Kind::Mut if owned => quote!(&mut #arg),
            _ => quote!(#arg),
        }
    });
    let receiver = function
        .receiver()
        .map(|_| if function.is_async() { quote!(&#host,) } else { quote!(#host,) });
    let guest = function.guest.map(|guest| {
        // A type that is not the guest's is told at the parameter.
        let Ends(at, _) = Ends::of(&guest.pat);
        let cx = Ident::new("cx", Span::mixed_site().located_at(at));
        quote!(#cx,)
    });
    let call = quote!(<#self_ty>::#ident(#receiver #guest #(#passed),*));

    let (method, body) = if function.is_async() {
        let body = quote_spanned! {ident.span()=>
            async move {
                let #answer = #call.await;
                (#host, #answer, #kept)
            }
        };
        ("suspending", quote!(|#host, #pattern| #body))
    } else if function.guest.is_some() {
        let method =
            if function.attrs.trampoline.is_some() { "trampoline" } else { "plain_with_guest" };
        let body = quote! {
            |#host, #cx, #pattern| {
                let #answer = #call;
                (#answer, #kept)
            }
        };
        (method, body)
    } else {
        ("plain", quote!(|#host, #pattern| #call))
    };
    let method = Ident::new(method, ident.span());
    let [params, mode, result] = [kinds(rt, function), mode(rt, function), result(function)]
        .map(|ty| checked(rt, &quote!(#info), &ty));
    let future = function.is_async().then(|| quote!(, _));
    quote! {
        #imports.#method::<#params, #mode, #result, __Host, _ #future>(&#info, &#host, #body);
    }
}

fn info_name(index: usize) -> Ident {
    format_ident!("__IMPORT_{index}")
}

/// A name that no name of the user's can be taken for.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
