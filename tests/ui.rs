//! What the compiler says about mistakes: one mistake a file in `tests/ui`, in folders by topic.
//! `TRYBUILD=overwrite cargo test --test ui` accepts what it says now.

use std::process::Command;

#[test]
fn messages() {
    if !compiler_is_pinned() {
        eprintln!("skipped: messages are written down for one compiler");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*/*.rs");
}

/// Other versions word what is theirs in other ways.
fn compiler_is_pinned() -> bool {
    let version = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    version.starts_with(concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), "."))
}
