//! The README is shown by the registry and as the crate's page, where no file lies beside it.

use std::path::Path;

/// What docs.rs serves of this package's files.
const SOURCE: &str = "https://docs.rs/crate/asyncify-wasm/latest/source/";

/// Where the README's links and images lead.
fn targets() -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// Paths that are left out of the package, as the manifest lists them.
fn excluded() -> Vec<&'static str> {
    let manifest = include_str!("../Cargo.toml");
    let (_, after) = manifest.split_once("exclude = [").expect("the package leaves something out");
    let (list, _) = after.split_once(']').expect("the list ends");
    let path = |quoted: &'static str| quoted.trim().trim_matches('"').trim_start_matches('/');
    list.split(',').map(path).filter(|path| !path.is_empty()).collect()
}

#[test]
fn links_are_absolute() {
    let targets = targets();
    assert!(targets.len() > 3, "{targets:?}");
    for target in targets {
        assert!(target.starts_with("https://"), "`{target}` leads nowhere from the registry");
    }
}

#[test]
fn files_that_are_linked_are_in_the_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = targets().iter().filter_map(|target| target.strip_prefix(SOURCE)).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(root.join(file).is_file(), "there is no `{file}`");
        let left_out = |path: &&str| file.starts_with(*path);
        assert_eq!(excluded().iter().find(|path| left_out(path)), None, "`{file}` is left out");
    }
}
