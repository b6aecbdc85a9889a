//! What was written, with no judgement: each node keeps its syntax, so that every later phase can
//! underline what the user typed.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, GenericParam, ItemImpl, ItemTrait, Lit, Meta,
    Pat, PatType, PathArguments, Receiver, Signature, Type,
};

use crate::attr::{Attrs, Mode};

/// An annotated `impl` block.
pub(crate) struct Imports<'a> {
    pub(crate) original: &'a ItemImpl,
    pub(crate) attrs: &'a Attrs,
    /// In the order of the block.
    pub(crate) functions: Vec<Function<'a>>,
    /// Those that are marked `skip`: no rule is about them.
    pub(crate) skipped: Vec<Function<'a>>,
}

/// An annotated trait.
pub(crate) struct Exports<'a> {
    pub(crate) original: &'a ItemTrait,
    pub(crate) attrs: &'a Attrs,
    pub(crate) functions: Vec<Function<'a>>,
}

/// A function of either.
pub(crate) struct Function<'a> {
    pub(crate) original: &'a Signature,
    /// What `#[asyncify(…)]` says.
    pub(crate) attrs: &'a Attrs,
    /// All other attributes.
    pub(crate) others: &'a [Attribute],
    /// The leading `cx: &mut GuestCx<'_, T>`, where the function is generic over that `T`.
    pub(crate) guest: Option<&'a PatType>,
    /// The parameters that cross.
    pub(crate) params: Vec<Param<'a>>,
}

/// A parameter that crosses.
pub(crate) struct Param<'a> {
    pub(crate) original: &'a PatType,
    pub(crate) kind: Kind,
    /// What stands behind the `&` or `&mut`, or all of it.
    pub(crate) ty: &'a Type,
}

/// How a parameter is taken: by syntax alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Val,
    Ref,
    Mut,
}

impl<'a> Function<'a> {
    pub(crate) fn new(original: &'a Signature, attrs: &'a Attrs, others: &'a [Attribute]) -> Self {
        let guest = guest_param(original);
        let params = typed(original).skip(usize::from(guest.is_some())).map(Param::new).collect();
        Self { original, attrs, others, guest, params }
    }

    pub(crate) fn ident(&self) -> &'a Ident {
        &self.original.ident
    }

    pub(crate) fn is_async(&self) -> bool {
        self.original.asyncness.is_some()
    }

    pub(crate) fn receiver(&self) -> Option<&'a Receiver> {
        self.original.receiver()
    }

    /// The type behind `->`.
    pub(crate) fn result(&self) -> Option<&'a Type> {
        match &self.original.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, ty) => Some(ty),
        }
    }

    /// The name in the wasm module.
    pub(crate) fn name(&self) -> String {
        match &self.attrs.name {
            Some(name) => name.value(),
            None => self.ident().unraw().to_string(),
        }
    }

    /// What a message about the name underlines.
    pub(crate) fn name_tokens(&self) -> TokenStream {
        match &self.attrs.name {
            Some(name) => name.to_token_stream(),
            None => self.ident().to_token_stream(),
        }
    }

    /// The conditions under which the function exists.
    pub(crate) fn cfgs(&self) -> Vec<&'a Attribute> {
        cfgs(self.others)
    }

    pub(crate) fn docs(&self) -> String {
        docs(self.others)
    }

    /// The result's way back.
    pub(crate) fn mode(&self) -> Mode {
        self.attrs.result.unwrap_or(Mode::Packed)
    }
}

impl Imports<'_> {
    /// The module of one of the block's imports.
    pub(crate) fn module(&self, function: &Function<'_>) -> Option<String> {
        let module = function.attrs.module.as_ref().or(self.attrs.module.as_ref());
        module.map(syn::LitStr::value)
    }
}

impl<'a> Param<'a> {
    fn new(original: &'a PatType) -> Self {
        match bare(&original.ty) {
            Type::Reference(reference) => Self {
                original,
                kind: if reference.mutability.is_some() { Kind::Mut } else { Kind::Ref },
                ty: bare(&reference.elem),
            },
            ty => Self { original, kind: Kind::Val, ty },
        }
    }

    /// The name, or `_`.
    pub(crate) fn name(&self) -> String {
        match &*self.original.pat {
            Pat::Ident(pat) => pat.ident.unraw().to_string(),
            _ => "_".to_owned(),
        }
    }
}

/// The path that leads to the runtime.
pub(crate) fn krate(attrs: &Attrs) -> TokenStream {
    match &attrs.krate {
        Some(path) => path.to_token_stream(),
        None => quote!(::asyncify),
    }
}

/// A type without the brackets that a macro or the user put around it.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    while let Type::Group(syn::TypeGroup { elem, .. }) | Type::Paren(syn::TypeParen { elem, .. }) =
        ty
    {
        ty = elem;
    }
    ty
}

fn typed(sig: &Signature) -> impl Iterator<Item = &PatType> {
    sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(param) => Some(param),
        FnArg::Receiver(_) => None,
    })
}

/// The first parameter, if it is a `&mut` to something over the function's one type parameter.
fn guest_param(sig: &Signature) -> Option<&PatType> {
    let mut types = sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        _ => None,
    });
    let (Some(data), None) = (types.next(), types.next()) else {
        return None;
    };
    let first = typed(sig).next()?;
    let Type::Reference(reference) = bare(&first.ty) else {
        return None;
    };
    reference.mutability?;
    let Type::Path(path) = bare(&reference.elem) else {
        return None;
    };
    let PathArguments::AngleBracketed(args) = &path.path.segments.last()?.arguments else {
        return None;
    };
    let over = |arg: &GenericArgument| matches!(arg, GenericArgument::Type(Type::Path(path)) if path.path.is_ident(data));
    args.args.iter().any(over).then_some(first)
}

/// The conditions among the attributes.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

/// The doc comment, with the space after `///` taken off each line.
pub(crate) fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let lines = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// A type as the user would write it.
pub(crate) fn type_text(ty: &impl ToTokens) -> String {
    let mut text = String::new();
    write_tokens(&mut text, ty.to_token_stream());
    text
}

fn write_tokens(text: &mut String, tokens: TokenStream) {
    let after_word = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                if text.ends_with("mut") || (open == "[" && after_word(text)) {
                    text.push(' ');
                }
                text.push_str(open);
                write_tokens(text, group.stream());
                text.truncate(text.trim_end().len());
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                spaced @ ('+' | '=') => text.extend([' ', spaced, ' ']),
                trailed @ (',' | ';') => text.extend([trailed, ' ']),
                '-' => text.push_str(" -"),
                '>' if text.ends_with('-') => text.push_str("> "),
                other => text.push(other),
            },
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                if after_word(text) {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_written() {
        for ty in [
            "&str",
            "&'a str",
            "&mut OutBuf",
            "&mut [u8]",
            "(u32, f64)",
            "()",
            "[u8; 4]",
            "Result<Vec<u8>, Errno>",
            "std::result::Result<(), Trap>",
            "fn(u32) -> u32",
            "Box<dyn Fn(u8) -> u8 + Send>",
            "Foo<Item = u8>",
            "*const u8",
            "!",
            "r#type",
        ] {
            let parsed: Type = syn::parse_str(ty).unwrap();
            assert_eq!(type_text(&parsed), ty);
        }
    }

    #[test]
    fn docs_are_joined() {
        let item: syn::ItemStruct = syn::parse_quote! {
            /// One.
            ///
            ///  - two
            #[doc = "three\n four"]
            #[doc(hidden)]
            struct S;
        };
        assert_eq!(docs(&item.attrs), "One.\n\n - two\nthree\nfour");
    }

    #[test]
    fn the_guest_is_told_by_the_type_parameter() {
        let guest = |sig: &str| guest_param(&syn::parse_str(sig).unwrap()).is_some();
        assert!(guest("fn f<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>)"));
        assert!(guest("fn f<'a, D>(any: &mut some::Alias<D>, other: u32)"));
        assert!(!guest("fn f(&self, cx: &mut GuestCx<'_, u32>)"));
        assert!(!guest("fn f<T, U>(&self, cx: &mut GuestCx<'_, T>)"));
        assert!(!guest("fn f<T>(&self, cx: &GuestCx<'_, T>)"));
        assert!(!guest("fn f<T>(&self, a: u32, cx: &mut GuestCx<'_, T>)"));
    }
}
