//! What the code for both attributes is made of: names of the runtime, and a function's types. It
//! never knows which of the two it is for.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Attribute;

use crate::model::{Attrs, Function, Kind, Mode, Param, krate, type_text};

/// Where a node begins and ends, so that an error in what is generated for it underlines it.
#[derive(Clone, Copy)]
pub(super) struct Ends(pub(super) Span, pub(super) Span);

impl Ends {
    pub(super) fn of(tokens: &impl ToTokens) -> Self {
        let mut tokens = tokens.to_token_stream().into_iter();
        let Some(first) = tokens.next() else {
            return Self(Span::call_site(), Span::call_site());
        };
        let last = tokens.last().unwrap_or_else(|| first.clone());
        let first = match first {
            TokenTree::Group(group) => group.span_open(),
            token => token.span(),
        };
        let last = match last {
            TokenTree::Group(group) => group.span_close(),
            token => token.span(),
        };
        Self(first, last)
    }
}

/// The hidden module of the runtime, as generated code names it.
#[derive(Clone, Copy)]
pub(super) enum Runtime<'a> {
    /// `__rt`, inside the `const _` of [`hidden`].
    Short,
    /// Where users can see: `::asyncify::__private`.
    Full(&'a TokenStream),
}

impl Runtime<'_> {
    /// The name standing where `span` is.
    pub(super) fn at(self, span: Span) -> TokenStream {
        match self {
            Self::Short => Ident::new("__rt", span).into_token_stream(),
            Self::Full(krate) => quote!(#krate::__private),
        }
    }
}

impl ToTokens for Runtime<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.at(Span::call_site()));
    }
}

/// `items` where nothing can see them, with the runtime as `__rt`.
pub(crate) fn hidden(attrs: &Attrs, cfgs: &[Attribute], items: &TokenStream) -> TokenStream {
    let krate = krate(attrs);
    let runtime = Runtime::Full(&krate);
    quote! {
        #(#cfgs)*
        #[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
        const _: () = {
            use #runtime as __rt;
            #items
        };
    }
}

/// `Ref<str>`, `Mut<OutBuf>` or `Val<u32>`.
fn kind(rt: Runtime<'_>, param: &Param<'_>) -> TokenStream {
    let Ends(first, last) = Ends::of(&param.original.ty);
    let rt = rt.at(first);
    let name = match param.kind {
        Kind::Val => quote_spanned!(first=> ::Val<),
        Kind::Ref => quote_spanned!(first=> ::Ref<),
        Kind::Mut => quote_spanned!(first=> ::Mut<),
    };
    let ty = param.ty;
    let close = quote_spanned!(last=> >);
    quote!(#rt #name #ty #close)
}

/// `(Ref<str>, (Val<u32>, ()))`
pub(super) fn kinds(rt: Runtime<'_>, function: &Function<'_>) -> TokenStream {
    nested(function.params.iter().map(|param| kind(rt, param)))
}

/// `(first, (second, ()))`
pub(super) fn nested(items: impl DoubleEndedIterator<Item = TokenStream>) -> TokenStream {
    items.rev().fold(quote!(()), |others, first| quote!((#first, #others)))
}

/// The result type, which is `()` where none is written.
pub(crate) fn result(function: &Function<'_>) -> TokenStream {
    match function.result() {
        Some(ty) => ty.to_token_stream(),
        None => quote_spanned!(function.ident().span()=> ()),
    }
}

/// `Direct` or `OutPtr`, standing where the result does.
pub(super) fn mode(rt: Runtime<'_>, function: &Function<'_>) -> TokenStream {
    let Ends(first, last) = Ends::of(&result(function));
    let rt = rt.at(first);
    let name = match function.mode() {
        Mode::Packed => quote_spanned!(last=> ::Direct),
        Mode::Out => quote_spanned!(last=> ::OutPtr),
    };
    quote!(#rt #name)
}

/// `&[ParamInfo::by_ref::<str>("url", "&str")]`, or `ParamInfo::arg_by_ref` for an export's.
pub(super) fn param_infos(rt: Runtime<'_>, function: &Function<'_>, prefix: &str) -> TokenStream {
    let infos = function.params.iter().map(|param| {
        let how = match param.kind {
            Kind::Val => "val",
            Kind::Ref => "by_ref",
            Kind::Mut => "by_mut",
        };
        // All of it stands where the type does: what is wrong with it is told there.
        let Ends(first, last) = Ends::of(&param.original.ty);
        let (rt, how) = (rt.at(first), Ident::new(&format!("{prefix}{how}"), first));
        let (name, ty, text) = (param.name(), param.ty, type_text(&param.original.ty));
        let open = quote_spanned!(first=> ::ParamInfo::#how::<);
        let close = quote_spanned!(last=> >(#name, #text));
        quote!(#rt #open #ty #close)
    });
    quote!(&[#(#infos),*])
}

/// The result as written, if it is.
pub(super) fn result_text(function: &Function<'_>) -> String {
    function.result().map(type_text).unwrap_or_default()
}

/// `Checked<{ __IMPORT_0.suspending }, Direct>`: the type, unless the constant has errors.
pub(super) fn checked(rt: Runtime<'_>, info: &TokenStream, ty: &TokenStream) -> TokenStream {
    quote!(#rt::Checked<{ #info.suspending }, #ty>)
}

/// A variable that no name of the user's can be taken for, as in [`super::imports`].
pub(super) fn arg(index: usize) -> Ident {
    format_ident!("__arg{index}", span = Span::mixed_site())
}
