//! The guide's pages against the code that they describe.

/// The variants of the error type, as its source declares them.
fn variants() -> Vec<String> {
    let source = include_str!("../asyncify-rt/src/error.rs");
    let start = source.find("pub enum Error {").expect("the error type");
    let end = source[start..].find("\n}\n").expect("its end");
    let lines = source[start..start + end].lines();
    let at_top = lines.filter_map(|line| line.strip_prefix("    "));
    let names = at_top.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names
        .map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>())
        .collect()
}

#[test]
fn the_errors_page_has_every_error_once() {
    let page = include_str!("../src/guide/errors.md");
    let variants = variants();
    assert!(variants.len() > 30, "{variants:?}");
    for variant in &variants {
        let rows = page.matches(&format!("| [`{variant}`](")).count();
        assert_eq!(rows, 1, "`Error::{variant}` has {rows} rows");
    }
}
