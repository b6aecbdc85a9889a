//! Reads the arguments of the attributes into the model's [`Attrs`].
//!
//! [`KEYS`] is the one table of what can be written where: it drives the parser and every message
//! about a key. The item is never looked at, nor what two keys say together: that is for `check`.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, LitStr, Meta, Path, Token, Type, bracketed};

use crate::errors::Errors;
use crate::model::{Attrs, Mode, conditional};

/// Where a key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// `#[asyncify::imports(…)]`
    Imports,
    /// `#[asyncify::exports(…)]`
    Exports,
    /// `#[asyncify(…)]` on a function of an imports block
    Import,
    /// `#[asyncify(…)]` on a function of an exports trait
    Export,
}

impl Place {
    /// How a message names the place.
    fn described(self) -> &'static str {
        match self {
            Self::Imports => "`#[asyncify::imports]`",
            Self::Exports => "`#[asyncify::exports]`",
            Self::Import => "`#[asyncify(…)]` on a function of an imports block",
            Self::Export => "`#[asyncify(…)]` on a function of an exports trait",
        }
    }
}

/// One key: its name, where it stands, how it is written, and how it is read.
struct Key {
    name: &'static str,
    places: &'static [Place],
    written: &'static str,
    read: fn(&mut Attrs, &Ident, &Key, Option<TokenStream>) -> syn::Result<()>,
}

const KEYS: [Key; 8] = [
    Key {
        name: "module",
        places: &[Place::Imports, Place::Import],
        written: "module = \"…\"",
        read: |attrs, key, row, value| {
            attrs.module = Some(row.text(key, value)?);
            Ok(())
        },
    },
    Key {
        name: "crate",
        places: &[Place::Imports, Place::Exports],
        written: "crate = path::to::asyncify",
        read: |attrs, key, row, value| {
            let value = row.value(key, value)?;
            let path = Path::parse_mod_style.parse2(value.clone());
            attrs.krate = Some(path.map_err(|_| row.misread(value, "a path without quotes"))?);
            Ok(())
        },
    },
    Key {
        name: "part",
        places: &[Place::Imports],
        written: "part = Type",
        read: |attrs, key, row, value| {
            let value = row.value(key, value)?;
            let part = syn::parse2(value.clone());
            attrs.part = Some(part.map_err(|_| row.misread(value, "a type that names the block"))?);
            Ok(())
        },
    },
    Key {
        name: "parts",
        places: &[Place::Imports],
        written: "parts = [Type, …]",
        read: |attrs, key, row, value| {
            let value = row.value(key, value)?;
            let parts = bracketed_types.parse2(value.clone());
            let parts =
                parts.map_err(|_| row.misread(value, "the types that name other blocks"))?;
            attrs.parts = parts;
            Ok(())
        },
    },
    Key {
        name: "name",
        places: &[Place::Import, Place::Export],
        written: "name = \"…\"",
        read: |attrs, key, row, value| {
            attrs.name = Some(row.text(key, value)?);
            Ok(())
        },
    },
    Key {
        name: "result",
        places: &[Place::Import, Place::Export],
        written: "result = \"packed\" | \"out\"",
        read: |attrs, key, row, value| {
            let text = row.text(key, value)?;
            attrs.result = Some(match text.value().as_str() {
                "packed" => Mode::Packed,
                "out" => Mode::Out,
                other => {
                    let message =
                        format!("unknown `result` `{other}`, expected one of: `packed`, `out`");
                    return Err(syn::Error::new_spanned(text, message));
                }
            });
            Ok(())
        },
    },
    Key {
        name: "skip",
        places: &[Place::Import],
        written: "skip",
        read: |attrs, key, row, value| {
            attrs.skip = Some(row.flag(key, value)?);
            Ok(())
        },
    },
    Key {
        name: "trampoline",
        places: &[Place::Import],
        written: "trampoline",
        read: |attrs, key, row, value| {
            attrs.trampoline = Some(row.flag(key, value)?);
            Ok(())
        },
    },
];

impl Key {
    fn value(&self, key: &Ident, value: Option<TokenStream>) -> syn::Result<TokenStream> {
        value.filter(|value| !value.is_empty()).ok_or_else(|| {
            let message = format!("`{}` needs a value; write `{}`", self.name, self.written);
            syn::Error::new_spanned(key, message)
        })
    }

    fn text(&self, key: &Ident, value: Option<TokenStream>) -> syn::Result<LitStr> {
        let value = self.value(key, value)?;
        syn::parse2(value.clone()).map_err(|_| self.misread(value, "a string"))
    }

    fn flag(&self, key: &Ident, value: Option<TokenStream>) -> syn::Result<Ident> {
        match value {
            None => Ok(key.clone()),
            Some(value) if value.is_empty() => Err(self.misread(key, "no value")),
            Some(value) => Err(self.misread(value, "no value")),
        }
    }

    fn misread(&self, tokens: impl ToTokens, takes: &str) -> syn::Error {
        let message = format!("`{}` takes {takes}; write `{}`", self.name, self.written);
        syn::Error::new_spanned(tokens, message)
    }
}

/// Reads the arguments of an attribute that stands at `place`.
pub(crate) fn parse(args: TokenStream, place: Place, errors: &mut Errors) -> Attrs {
    let mut attrs = Attrs::default();
    read(&mut attrs, args, place, errors);
    attrs
}

/// Takes the `#[asyncify(…)]` attributes off a function and reads them.
pub(crate) fn take(list: &mut Vec<Attribute>, place: Place, errors: &mut Errors) -> Attrs {
    let mut attrs = Attrs::default();
    for attribute in take_helpers(list) {
        if conditional(&attribute).is_some() {
            errors.at(
                attribute,
                "`#[asyncify(…)]` is read before any `cfg_attr`; write two functions of the same name, each under `cfg`",
            );
            continue;
        }
        match attribute.meta {
            Meta::List(list) => read(&mut attrs, list.tokens, place, errors),
            other => errors.at(other, format!("expected one of: {}", written(place))),
        }
    }
    attrs
}

/// Takes `#[asyncify(…)]` off an item where it says nothing.
pub(crate) fn take_elsewhere(list: &mut Vec<Attribute>, errors: &mut Errors) {
    for attribute in take_helpers(list) {
        errors.at(attribute, "`#[asyncify(…)]` belongs on a function; remove it here");
    }
}

/// Takes the attributes that are ours off an item.
fn take_helpers(list: &mut Vec<Attribute>) -> Vec<Attribute> {
    let is_ours = |path: &Path| path.is_ident("asyncify");
    let taken = list.extract_if(.., |attribute| {
        is_ours(attribute.path())
            || conditional(attribute)
                .is_some_and(|(_, metas)| metas.iter().any(|meta| is_ours(meta.path())))
    });
    taken.collect()
}

fn read(attrs: &mut Attrs, args: TokenStream, place: Place, errors: &mut Errors) {
    for arg in split_at_commas(args) {
        let read = parse_arg.parse2(arg.clone()).map_err(|_| {
            syn::Error::new_spanned(arg, format!("expected one of: {}", written(place)))
        });
        let read = read.and_then(|(key, value)| read_arg(attrs, &key, value, place));
        attrs.mistaken |= errors.take(read).is_none();
    }
}

fn read_arg(
    attrs: &mut Attrs,
    key: &Ident,
    value: Option<TokenStream>,
    place: Place,
) -> syn::Result<()> {
    let Some(row) = KEYS.iter().find(|row| key == row.name) else {
        return Err(syn::Error::new_spanned(key, unknown(key, place)));
    };
    if !row.places.contains(&place) {
        return Err(syn::Error::new_spanned(key, misplaced(row, place)));
    }
    if attrs.gives(row.name) {
        return Err(syn::Error::new_spanned(key, format!("duplicate key `{key}`; write it once")));
    }
    attrs.given.push(key.clone());
    (row.read)(attrs, key, row, value)
}

/// `key`, or `key = value`; the value is read by the key's row.
fn parse_arg(input: ParseStream<'_>) -> syn::Result<(Ident, Option<TokenStream>)> {
    let key = Ident::parse_any(input)?;
    if input.is_empty() {
        return Ok((key, None));
    }
    input.parse::<Token![=]>()?;
    Ok((key, Some(input.parse()?)))
}

/// `[A, B]`
fn bracketed_types(input: ParseStream<'_>) -> syn::Result<Vec<Type>> {
    let types;
    bracketed!(types in input);
    Ok(Punctuated::<Type, Token![,]>::parse_terminated(&types)?.into_iter().collect())
}

/// Each argument by itself, so that a mistake in one hides none in the next.
fn split_at_commas(args: TokenStream) -> Vec<TokenStream> {
    let mut split = vec![TokenStream::new()];
    for token in args {
        match (&token, split.last_mut()) {
            (TokenTree::Punct(punct), Some(_)) if punct.as_char() == ',' => {
                split.push(TokenStream::new());
            }
            (_, Some(arg)) => arg.extend([token]),
            (_, None) => {}
        }
    }
    split.retain(|arg| !arg.is_empty());
    split
}

fn keys(place: Place) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.places.contains(&place))
}

/// How each key of a place is written.
fn written(place: Place) -> String {
    list(keys(place).map(|key| key.written))
}

fn list(words: impl Iterator<Item = &'static str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn unknown(key: &Ident, place: Place) -> String {
    let known = list(keys(place).map(|key| key.name));
    let meant = keys(place)
        .map(|row| (distance(&key.to_string(), row.name), row.name))
        .filter(|&(distance, name)| distance <= 2 && distance < name.len() / 2 + 1)
        .min();
    match meant {
        Some((_, name)) => {
            format!("unknown key `{key}`, expected one of: {known}; did you mean `{name}`?")
        }
        None => format!("unknown key `{key}`, expected one of: {known}"),
    }
}

fn misplaced(row: &Key, place: Place) -> String {
    let Key { name, written, .. } = row;
    let belongs = row.places.first().copied().unwrap_or(place);
    let here = place.described();
    let there = belongs.described();
    format!("`{name}` is no key of {here}; `{written}` belongs in {there}")
}

/// How many letters must be added, taken away or changed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = changed.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
