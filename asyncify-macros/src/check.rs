//! Every rule about what was written, in one list for each attribute.
//!
//! A rule that is about a type's meaning is not here: the traits of the runtime say it. Nothing is
//! changed here, and no code is made.

mod functions;
pub(crate) mod types;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use proc_macro2::{TokenStream, TokenTree};
use syn::{GenericParam, Generics, ImplItem, TraitItem};

use crate::errors::Errors;
use crate::model::{Attrs, Exports, Function, Imports, type_text};
use functions::{
    borrows_for_the_call, borrows_only_at_the_top, data_stays_in_the_store, export_is_concrete,
    has_few_params, has_no_qualifiers, has_the_guest_at_hand, import_is_concrete, is_copied,
    is_named, is_written_out, result_is_owned, shares_the_host, takes_the_guest,
    writes_through_a_buffer,
};
use types::Parts;

pub(crate) fn imports(block: &Imports<'_>, errors: &mut Errors) {
    // The functions of a trait belong to whoever wrote the trait.
    is_inherent(block, errors);
    // The list of imports is one constant.
    block_is_concrete(block, errors);
    // A guest keeps its host.
    host_owns_what_it_holds(block, errors);
    // A function that is not seen would be missing in the guest.
    items_are_seen(block, errors);
    for function in &block.functions {
        // A guest knows no such contract, and calls by wasm's convention.
        has_no_qualifiers(function, "import", errors);
        // All calls of a guest share the host.
        shares_the_host(function, errors);
        // A wasm function has one signature.
        let concrete = import_is_concrete(function, errors);
        // The guest is lent to code that runs to its end, never across an await.
        has_the_guest_at_hand(function, errors);
        // What is generic about such a function is its guest.
        data_stays_in_the_store(function, errors);
        for param in &function.params {
            // Errors name the parameter, and the condition stands on the function.
            is_named(param, "import", errors);
            // The value is made from wasm values, so its type is written out.
            is_written_out(&param.original.ty, "import", errors);
            // What an import borrows is the parameter itself.
            if concrete {
                borrows_only_at_the_top(param, errors);
            }
            // What is lent is lent for one call.
            borrows_for_the_call(param, errors);
            // The guest's memory may move while an import waits.
            writes_through_a_buffer(param, errors);
        }
        // An answer goes to the guest after the call's borrows have ended.
        result_is_owned(function, "import", errors);
        // wasmtime's typed functions end there.
        has_few_params(function, "import", errors);
    }
    // Nothing else can be said about a function that is left out.
    skip_stands_alone(block, errors);
    // A host's parts are listed once, and in one place.
    parts_are_listed_once(block, errors);
    // Wasm finds an import by module and name.
    has_modules(block, errors);
    // A linker takes one function for each.
    imports_differ(block, errors);
}

pub(crate) fn exports(list: &Exports<'_>, errors: &mut Errors) {
    // The struct that is made of it has no parameters and implements nothing else.
    trait_is_plain(list, errors);
    // Each function of the trait is an export, and nothing else is.
    trait_lists_functions(list, errors);
    for function in &list.functions {
        // A guest knows no such contract, and calls by wasm's convention.
        has_no_qualifiers(function, "export", errors);
        // The functions are those of one guest.
        takes_the_guest(function, errors);
        // A wasm function has one signature.
        export_is_concrete(function, errors);
        for param in &function.params {
            // The name is the generated method's.
            is_named(param, "export", errors);
            // The value is handed to the guest as wasm values, so its type is written out.
            is_written_out(&param.original.ty, "export", errors);
            // Arguments are copied into the guest, and the call owns the copy.
            if is_copied(param, errors) {
                borrows_only_at_the_top(param, errors);
            }
        }
        // A result is made from what the guest left.
        result_is_owned(function, "export", errors);
        // wasmtime's typed functions end there.
        has_few_params(function, "export", errors);
    }
    // Two functions of the same name would call the same export by different types.
    exports_differ(list, errors);
}

fn is_inherent(block: &Imports<'_>, errors: &mut Errors) {
    if let Some((path, _)) = &block.original.trait_ {
        let host = type_text(&block.original.self_ty);
        errors.at(
            path,
            format!(
                "`#[asyncify::imports]` takes an inherent block; write `impl {host} {{ … }}` and call the trait's functions from there"
            ),
        );
    }
    if block.original.unsafety.is_some() || block.original.modifiers.require_empty().is_err() {
        errors.leave_to_compiler();
    }
}

fn block_is_concrete(block: &Imports<'_>, errors: &mut Errors) {
    let Generics { params, where_clause, .. } = &block.original.generics;
    if is_generic(block) {
        errors.at(
            params,
            "an imports block cannot be generic; write the type arguments out, as in `impl Host<File>`",
        );
    } else if let (true, Some(clause)) = (params.is_empty(), where_clause) {
        errors.at(
            clause,
            "an imports block cannot have a `where` clause, because nothing in it is generic; remove it",
        );
    }
}

/// Whether the host is one of many types. Lifetimes make it one that borrows.
fn is_generic(block: &Imports<'_>) -> bool {
    let mut params = block.original.generics.params.iter();
    params.any(|param| !matches!(param, GenericParam::Lifetime(_)))
}

fn host_owns_what_it_holds(block: &Imports<'_>, errors: &mut Errors) {
    if !is_generic(block) && Parts::of(&block.original.self_ty).borrows() {
        errors.at(
            &block.original.self_ty,
            "a host cannot borrow, because its guests keep it; own what it holds, or share it in an `Arc`",
        );
    }
}

fn items_are_seen(block: &Imports<'_>, errors: &mut Errors) {
    for item in &block.original.items {
        match item {
            ImplItem::Fn(_) | ImplItem::Const(_) | ImplItem::Type(_) => {}
            ImplItem::Macro(item) => errors.at(
                &item.mac.path,
                "`#[asyncify::imports]` cannot see what a macro makes; write the functions out, or move the macro to an `impl` block of its own",
            ),
            other => errors.at(
                other,
                "`#[asyncify::imports]` does not know this syntax; move it to an `impl` block of its own",
            ),
        }
    }
}

fn skip_stands_alone(block: &Imports<'_>, errors: &mut Errors) {
    for key in block.skipped.iter().flat_map(|function| &function.attrs.given) {
        if key != "skip" {
            errors.at(key, format!("`skip` leaves the function out, so that `{key}` says nothing; remove one of them"));
        }
    }
}

fn parts_are_listed_once(block: &Imports<'_>, errors: &mut Errors) {
    let Attrs { part, parts, .. } = block.attrs;
    if let (Some(part), false) = (part, parts.is_empty()) {
        errors.at(part, "a part has no parts; list all of them in the one block that is none");
    }
    for (index, part) in parts.iter().enumerate() {
        let name = type_text(part);
        if parts[..index].iter().any(|other| type_text(other) == name) {
            errors.at(part, format!("the part `{name}` is listed twice; list it once"));
        }
    }
}

fn has_modules(block: &Imports<'_>, errors: &mut Errors) {
    let told = |attrs: &Attrs| attrs.gives("module") || attrs.mistaken;
    if told(block.attrs) {
        return;
    }
    // Once: the way out is most often the same for all of them.
    if let Some(function) = block.functions.iter().find(|function| !told(function.attrs)) {
        let name = function.ident();
        errors.at(
            name,
            format!("`{name}` has no module; name it for the block, `#[asyncify::imports(module = \"env\")]`, or for the function, `#[asyncify(module = \"env\")]`"),
        );
    }
}

fn imports_differ(block: &Imports<'_>, errors: &mut Errors) {
    differ(
        &block.functions,
        errors,
        |function| Some((block.module(function)?, function.name())),
        |(module, name)| {
            format!(
                "two functions are the import `{module}.{name}`; a guest has one, so rename or `skip` this one"
            )
        },
    );
}

fn exports_differ(list: &Exports<'_>, errors: &mut Errors) {
    differ(
        &list.functions,
        errors,
        |function| Some((String::new(), function.name())),
        |(_, name)| {
            format!("two functions are the export `{name}`; a guest has one, so rename this one")
        },
    );
}

/// A function's module and name: either may have a dot, so they are two.
type Name = (String, String);

fn differ<M: Display>(
    functions: &[Function<'_>],
    errors: &mut Errors,
    name: impl Fn(&Function<'_>) -> Option<Name>,
    message: impl Fn(&Name) -> M,
) {
    let (mut idents, mut names) = (Taken::default(), Taken::default());
    for function in functions {
        let conditional = !function.cfgs().is_empty();
        let ident_is_taken = idents.take(&function.ident(), conditional);
        let taken = name(function).filter(|name| names.take(name, conditional));
        if ident_is_taken {
            // Two functions of one Rust name: the compiler's own error.
            errors.leave_to_compiler();
        } else if let Some(name) = taken {
            errors.at(function.name_tokens(), message(&name));
        }
    }
}

/// Names, and whether all functions of that name are under conditions.
struct Taken<N>(HashMap<N, bool>);

impl<N> Default for Taken<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<N: Clone + Eq + Hash> Taken<N> {
    /// Takes a name, and tells whether it was taken before. Two functions under conditions are
    /// held to exclude each other.
    fn take(&mut self, name: &N, conditional: bool) -> bool {
        let Some(conditions) = self.0.get_mut(name) else {
            self.0.insert(name.clone(), conditional);
            return false;
        };
        *conditions &= conditional;
        !*conditions
    }
}

fn trait_is_plain(list: &Exports<'_>, errors: &mut Errors) {
    let item = list.original;
    if item.unsafety.is_some() || item.modifiers.require_empty().is_err() {
        errors.leave_to_compiler();
    }
    let Generics { params, where_clause, .. } = &item.generics;
    if !params.is_empty() {
        errors.at(params, "an exports trait cannot be generic, because a guest's exports have one signature each; write the types out");
    } else if let Some(clause) = where_clause {
        errors
            .at(clause, "an exports trait cannot have a `where` clause, because nothing in it is generic; remove it");
    }
    if !item.supertraits.is_empty() {
        errors.at(
            &item.supertraits,
            format!("an exports trait has no supertraits: it lists what a guest exports; implement them for `{}Exports`", item.ident),
        );
    }
}

fn trait_lists_functions(list: &Exports<'_>, errors: &mut Errors) {
    for item in &list.original.items {
        match item {
            TraitItem::Fn(function) => {
                if let Some(body) = &function.default {
                    errors.at(
                        body,
                        format!("an export's body is in the guest; write `;` instead, and put helpers into `impl {}Exports`", list.original.ident),
                    );
                }
                if function.modifiers.require_empty().is_err() {
                    errors.leave_to_compiler();
                }
            }
            TraitItem::Const(item) => {
                errors.at(
                    &item.ident,
                    "an exports trait lists functions; globals are read through `AsyncExports`",
                );
            }
            TraitItem::Type(item) => {
                errors.at(
                    &item.ident,
                    "an exports trait lists functions; write the type out where it is used",
                );
            }
            TraitItem::Macro(item) => {
                errors.at(
                    &item.mac.path,
                    "`#[asyncify::exports]` cannot see what a macro makes; write the functions out",
                );
            }
            // The trait's visibility is that of its functions: the compiler's own error.
            TraitItem::Verbatim(tokens) if has_visibility(tokens) => errors.leave_to_compiler(),
            other => errors.at(
                other,
                "`#[asyncify::exports]` does not know this syntax; write functions only",
            ),
        }
    }
}

/// Whether an item that the parser left as it is says `pub`.
fn has_visibility(tokens: &TokenStream) -> bool {
    let mut tokens = tokens.clone().into_iter();
    tokens.any(|token| matches!(token, TokenTree::Ident(word) if word == "pub"))
}
