//! What was written, with no judgement: each node keeps its syntax, so that every later phase can
//! underline what the user typed. No mistake is ever told here.

use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, GenericParam, ItemImpl, ItemTrait, Lit,
    LitStr, Meta, Pat, PatType, Path, PathArguments, Receiver, Signature, Token, Type, parse_quote,
};

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

/// What an attribute says.
#[derive(Default)]
pub(crate) struct Attrs {
    /// Each key as it was written, also where its value was a mistake.
    pub(crate) given: Vec<Ident>,
    /// Whether a part was a mistake, so that a key that seems to be missing may be that part.
    pub(crate) mistaken: bool,
    pub(crate) module: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// What names the block among the others of its type.
    pub(crate) part: Option<Type>,
    /// The names of the others.
    pub(crate) parts: Vec<Type>,
    pub(crate) result: Option<Mode>,
    pub(crate) skip: Option<Ident>,
    pub(crate) trampoline: Option<Ident>,
}

/// How a function's result reaches the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Packed,
    Out,
}

impl Attrs {
    /// Whether the key was written, rightly or not.
    pub(crate) fn gives(&self, key: &str) -> bool {
        self.given.iter().any(|given| given == key)
    }
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
    pub(crate) fn cfgs(&self) -> Vec<Attribute> {
        cfgs(self.others)
    }

    /// The lints that it allows.
    pub(crate) fn allowed(&self) -> Vec<Attribute> {
        allowed(self.others)
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
        module.map(LitStr::value)
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

/// The conditions among the attributes, those inside `cfg_attr` too.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    only(attrs, |meta| meta.path().is_ident("cfg").then(|| meta.clone()))
}

/// The lints that are allowed, those inside `cfg_attr` too.
pub(crate) fn allowed(attrs: &[Attribute]) -> Vec<Attribute> {
    only(attrs, allow)
}

/// An `allow`, which an `expect` becomes: what is expected of an item may not be found in what is
/// made of it.
pub(crate) fn allow(meta: &Meta) -> Option<Meta> {
    match meta {
        Meta::List(list) if list.path.is_ident("allow") => Some(meta.clone()),
        Meta::List(list) if list.path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(parse_quote!(allow(#lints)))
        }
        _ => None,
    }
}

/// What `of` makes of the attributes, also of those inside `cfg_attr`.
pub(crate) fn only(attrs: &[Attribute], of: impl Fn(&Meta) -> Option<Meta>) -> Vec<Attribute> {
    let made = attrs.iter().filter_map(|attr| {
        if let Some(meta) = of(&attr.meta) {
            return Some(parse_quote!(#[#meta]));
        }
        let (predicate, metas) = conditional(attr)?;
        let metas: Vec<_> = metas.iter().filter_map(&of).collect();
        (!metas.is_empty()).then(|| parse_quote!(#[cfg_attr(#predicate, #(#metas),*)]))
    });
    made.collect()
}

/// The predicate of a `cfg_attr`, and the attributes it stands for.
pub(crate) fn conditional(attr: &Attribute) -> Option<(Meta, Vec<Meta>)> {
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
    let mut metas = attr.parse_args_with(parse).ok()?.into_iter();
    Some((metas.next()?, metas.collect()))
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
    // A word that more of the type follows, as opposed to a name that is gone on with.
    let mut after_keyword = false;
    for token in tokens {
        let after_word = text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let spaced = match &token {
            TokenTree::Group(group) => {
                after_keyword || (after_word && group.delimiter() == Delimiter::Bracket)
            }
            TokenTree::Punct(punct) => after_keyword && punct.as_char() != '>',
            TokenTree::Ident(_) | TokenTree::Literal(_) => after_word,
        };
        if spaced {
            text.push(' ');
        }
        after_keyword = matches!(&token, TokenTree::Ident(word) if KEYWORDS.iter().any(|keyword| word == keyword));
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_tokens(text, group.stream());
                text.truncate(text.trim_end().len());
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                between @ ('+' | '=') => text.extend([' ', between, ' ']),
                before @ (',' | ';') => text.extend([before, ' ']),
                ':' if punct.spacing() == Spacing::Alone && !text.ends_with(':') => {
                    text.push_str(": ");
                }
                '-' => text.push_str(" -"),
                '>' if text.ends_with('-') => text.push_str("> "),
                other => text.push(other),
            },
            TokenTree::Ident(_) | TokenTree::Literal(_) => text.push_str(&token.to_string()),
        }
    }
}

const KEYWORDS: [&str; 4] = ["const", "dyn", "impl", "mut"];

#[cfg(test)]
mod tests;
