//! What both attributes make, as files to read: `tests/expansions/<attribute>/<case>.rs` and
//! `<case>.expanded.rs` beside it. `BLESS=1 cargo test -p asyncify-macros` writes the latter. Nothing
//! of it is compiled here.

use std::fs;
use std::path::Path;

use quote::ToTokens;
use syn::{Attribute, Item, Meta};

use crate::phases;

#[test]
fn imports() {
    compare("imports");
}

#[test]
fn exports() {
    compare("exports");
}

fn compare(attribute: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansions").join(attribute);
    let mut cases: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| !path.to_string_lossy().ends_with(".expanded.rs"));
    cases.sort();
    assert!(!cases.is_empty());
    let mut different = Vec::new();
    for case in cases {
        let expanded = expand(&fs::read_to_string(&case).unwrap());
        let path = case.with_extension("expanded.rs");
        // A crate that is `no_std` has no such name; the runtime has what is needed.
        assert!(!expanded.contains("::std::"), "{}", path.display());
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &expanded).unwrap();
        }
        // Whatever line ends the checkout has.
        let expected = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        if expanded != expected {
            different.push(format!("{}:\n{expanded}", path.display()));
        }
    }
    assert!(different.is_empty(), "to accept, run with BLESS=1\n{}", different.join("\n"));
}

/// The file with its annotated items expanded.
fn expand(source: &str) -> String {
    let file = syn::parse_file(source).unwrap();
    let items = file.items.into_iter().map(|mut item| {
        let attrs = match &mut item {
            Item::Impl(item) => &mut item.attrs,
            Item::Trait(item) => &mut item.attrs,
            _ => return item.to_token_stream(),
        };
        let is_ours = |attr: &mut Attribute| {
            attr.path().segments.first().is_some_and(|first| first.ident == "asyncify")
        };
        let Some(attr) = attrs.extract_if(.., is_ours).next() else {
            return item.to_token_stream();
        };
        let args = match &attr.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => proc_macro2::TokenStream::new(),
        };
        if attr.path().segments.last().is_some_and(|last| last.ident == "imports") {
            phases::imports(args, &item.into_token_stream())
        } else {
            phases::exports(args, &item.into_token_stream())
        }
    });
    prettyplease::unparse(&syn::parse2(items.collect()).unwrap())
}
