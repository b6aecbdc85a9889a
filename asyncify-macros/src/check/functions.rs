//! The rules about one function, its parameters and its result. None looks at a second function, or
//! at the item around it.

use quote::ToTokens;
use syn::{GenericParam, Generics, Pat, ReceiverKind, Safety, Type, TypeReference};

use super::types::{Parts, mention};
use crate::errors::Errors;
use crate::model::{Function, Kind, Param, bare, type_text};

/// The runtime registers functions with so many values.
const MOST_PARAMS: usize = 16;

pub(super) fn has_no_qualifiers(function: &Function<'_>, noun: &str, errors: &mut Errors) {
    let sig = function.original;
    let article = format!("an {noun}");
    if let Some(token) = &sig.constness {
        errors.at(token, format!("{article} cannot be `const`; remove `const`"));
    }
    match &sig.safety {
        Safety::Unsafe(token) => errors.at(
            token,
            format!("{article} cannot be `unsafe`: a guest keeps no contract; check what it passes, and remove `unsafe`"),
        ),
        Safety::Safe(_) => errors.leave_to_compiler(),
        Safety::Default => {}
    }
    if let Some(abi) = &sig.abi {
        errors.at(
            abi,
            format!(
                "{article} cannot be `extern`: it is called as a wasm function; remove `{}`",
                type_text(abi)
            ),
        );
    }
    if let Some(dots) = &sig.variadic {
        errors.at(dots, format!("{article} cannot be variadic; C passes such arguments as a pointer to a buffer, so take a `GuestPtr`"));
    }
}

pub(super) fn shares_the_host(function: &Function<'_>, errors: &mut Errors) {
    let Some(receiver) = function.receiver() else {
        return;
    };
    match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, None) => {
            if let Some(lifetime) = lifetime.as_ref().filter(|lifetime| lifetime.ident == "static") {
                errors.at(lifetime, "a call does not borrow the host for ever; write `&self`");
            }
        }
        ReceiverKind::Reference(..) => errors.at(
            receiver,
            "an import takes `&self`, because several calls share the host; write `&self` and keep what changes in a `Mutex`",
        ),
        ReceiverKind::Value => errors.at(
            receiver,
            "an import takes `&self`, because the guest may call it again; write `&self`",
        ),
        _ => errors.at(
            receiver,
            format!("an import takes `&self` or no `self`; write `&self` instead of `{}`", type_text(receiver)),
        ),
    }
}

pub(super) fn takes_the_guest(function: &Function<'_>, errors: &mut Errors) {
    let name = function.ident();
    match function.receiver() {
        Some(receiver) if !matches!(&receiver.kind, ReceiverKind::Reference(_, None, None)) => {
            errors.at(
                receiver,
                format!("an export takes `&self`, because several calls share the guest; write `&self` instead of `{}`", type_text(receiver)),
            );
        }
        Some(_) => {}
        None => {
            let keywords = if function.is_async() { "async fn" } else { "fn" };
            errors.at(
                name,
                format!("an export takes `&self`, the guest it belongs to; write `{keywords} {name}(&self, …)`"),
            );
        }
    }
}

pub(super) fn import_is_concrete(function: &Function<'_>, errors: &mut Errors) -> bool {
    if function.guest.is_some() {
        return true;
    }
    let Generics { params, where_clause, .. } = &function.original.generics;
    let mut types = params.iter().filter(|param| !matches!(param, GenericParam::Lifetime(_)));
    let message =
        "an import cannot be generic, because a guest passes wasm values; write the types out";
    match (types.next(), where_clause) {
        (Some(first), _) if function.is_async() => errors.at(first, message),
        (Some(first), _) => errors.at(
            first,
            format!("{message}, or take `cx: &mut GuestCx<'_, T>` first in a function that works in the guest"),
        ),
        (None, Some(clause)) => errors.at(clause, message),
        (None, None) => return true,
    }
    false
}

pub(super) fn export_is_concrete(function: &Function<'_>, errors: &mut Errors) {
    let Generics { params, where_clause, .. } = &function.original.generics;
    let message =
        "an export cannot be generic, because a guest takes wasm values; write the types out";
    if params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        errors.at(params, message);
    } else if !params.is_empty() {
        errors.at(
            params,
            "an export has no lifetimes, because its arguments are copied into the guest; remove them",
        );
    } else if let Some(clause) = where_clause {
        errors.at(clause, message);
    }
}

pub(super) fn has_the_guest_at_hand(function: &Function<'_>, errors: &mut Errors) {
    if let (true, Some(guest)) = (function.is_async(), function.guest) {
        errors.at(
            guest,
            "an `async` import runs without the guest; take the values it needs, or make it a plain `fn`",
        );
    }
    let Some(trampoline) = &function.attrs.trampoline else {
        return;
    };
    if function.is_async() {
        errors.at(trampoline, "`trampoline` is for a plain `fn`, which calls the guest's functions itself; an `async` import needs none");
    } else if function.guest.is_none() {
        errors.at(
            trampoline,
            "`trampoline` is for a function that calls the guest; take `cx: &mut GuestCx<'_, T>` as the first parameter of `fn f<T: Send + 'static>`",
        );
    }
}

pub(super) fn data_stays_in_the_store(function: &Function<'_>, errors: &mut Errors) {
    let types = function.original.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        _ => None,
    });
    let Some(data) = types.take(usize::from(function.guest.is_some())).next() else { return };
    let crossing = function.params.iter().map(|param| &*param.original.ty).chain(function.result());
    for mention in crossing.filter_map(|ty| mention(ty, data)) {
        errors.at(
            mention,
            format!("`{data}` is the guest's data, and no type that crosses to a guest; name another type"),
        );
    }
}

pub(super) fn is_named(param: &Param<'_>, noun: &str, errors: &mut Errors) {
    match &*param.original.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {}
        Pat::Wild(_) => {}
        // A function without a body has names only: the compiler's own error.
        _ if noun == "export" => errors.leave_to_compiler(),
        pattern => errors.at(
            pattern,
            format!(
                "a parameter of an {noun} is a name, not a pattern; take `{}` apart in the body",
                type_text(pattern)
            ),
        ),
    }
    for attr in &param.original.attrs {
        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            errors.at(attr, format!("a parameter of an {noun} is always there; put `cfg` on two functions of the same name"));
        }
    }
}

pub(super) fn is_written_out(ty: &Type, noun: &str, errors: &mut Errors) -> bool {
    let parts = Parts::of(ty);
    if let Some(node) = parts.impl_trait {
        errors.at(
            node,
            format!(
                "an {noun} has no `impl Trait`, because it is called by wasm values; name the type"
            ),
        );
    } else if let Some(node) = parts.self_type {
        let skip = if noun == "import" {
            ", or leave the function out by `#[asyncify(skip)]`"
        } else {
            ""
        };
        errors.at(
            node,
            format!("`Self` is no type that crosses to a guest; name another type{skip}"),
        );
    } else if parts.infer.is_some() {
        errors.leave_to_compiler();
    } else {
        return true;
    }
    false
}

pub(super) fn borrows_only_at_the_top(param: &Param<'_>, errors: &mut Errors) {
    let Some(lifetime) = Parts::of(param.ty).lifetime else {
        return;
    };
    if param.kind == Kind::Mut {
        errors.at(
            &param.original.ty,
            format!(
                "`{}` cannot be lent; take `&mut OutBuf` to answer with bytes, or `cx: &mut GuestCx<'_, T>` first, in a plain `fn` over `T: Send + 'static`, to work in the guest",
                type_text(&param.original.ty)
            ),
        );
    } else {
        errors.at(
            lifetime,
            format!(
                "only a whole parameter can borrow, as `&str` and `&[u8]` do; `{}` must own what it holds",
                type_text(param.ty)
            ),
        );
    }
}

pub(super) fn borrows_for_the_call(param: &Param<'_>, errors: &mut Errors) {
    let Type::Reference(reference) = bare(&param.original.ty) else {
        return;
    };
    if let Some(lifetime) =
        reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static")
    {
        let lent = TypeReference { lifetime: None, ..reference.clone() };
        errors.at(
            lifetime,
            format!(
                "what a guest passes is lent for one call, not for ever; write `{}`",
                type_text(&lent)
            ),
        );
    }
}

pub(super) fn writes_through_a_buffer(param: &Param<'_>, errors: &mut Errors) {
    if let (Kind::Mut, Type::Slice(_)) = (param.kind, param.ty) {
        let ty = &param.original.ty;
        errors.at(
            ty,
            format!("`{}` cannot be lent, because the guest's memory may move meanwhile; take `&mut OutBuf`", type_text(ty)),
        );
    }
}

pub(super) fn is_copied(param: &Param<'_>, errors: &mut Errors) -> bool {
    if param.kind == Kind::Mut {
        errors.at(
            &param.original.ty,
            "an argument of an export cannot be `&mut`, because it is copied into the guest; return what changes",
        );
    }
    param.kind != Kind::Mut
}

pub(super) fn result_is_owned(function: &Function<'_>, noun: &str, errors: &mut Errors) {
    let Some(ty) = function.result() else { return };
    let parts = Parts::of(ty);
    if let Type::Never(never) = bare(ty) {
        errors.at(
            never,
            "a result cannot be `!`, because the guest waits for an answer; end the call by an error: `Result<(), asyncify::Trap>`",
        );
    } else if parts.future {
        errors.at(
            ty,
            format!(
                "a function that waits is an `async fn`; write `async fn {}`",
                function.ident()
            ),
        );
    } else if is_written_out(ty, noun, errors) {
        let borrowed: Option<&dyn ToTokens> = match (parts.reference, parts.lifetime) {
            (Some(reference), _) => Some(reference),
            (None, Some(lifetime)) => Some(lifetime),
            (None, None) => None,
        };
        if let Some(node) = borrowed {
            errors.at(node, "a result cannot borrow, because it outlives the call; return an owned type such as `String`");
        }
    }
}

pub(super) fn has_few_params(function: &Function<'_>, noun: &str, errors: &mut Errors) {
    if let Some(param) = function.params.get(MOST_PARAMS) {
        errors.at(
            param.original,
            format!("an {noun} has {MOST_PARAMS} parameters at most; pass a `GuestPtr` to a struct instead"),
        );
    }
}
