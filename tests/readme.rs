//! The README is shown by the registry and as the crate's page, the guide by docs.rs: no file lies
//! beside them there.

use std::path::Path;

const README: &str = include_str!("../README.md");
const COMPARISON: &str = include_str!("../src/guide/comparison.md");
const BENCHES: &str = include_str!("../benches/README.md");

/// What docs.rs serves of this package's files.
const SOURCE: &str = "https://docs.rs/crate/asyncify-wasm/latest/source/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where a page's links and images lead.
fn targets(page: &'static str) -> impl Iterator<Item = &'static str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next())
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
fn the_readmes_links_are_absolute() {
    assert!(targets(README).count() > 3);
    for target in targets(README) {
        assert!(target.starts_with("https://"), "`{target}` leads nowhere from the registry");
    }
}

#[test]
fn files_that_are_linked_are_in_the_package() {
    let targets = [README, COMPARISON].into_iter().flat_map(targets);
    let files: Vec<_> = targets.filter_map(|target| target.strip_prefix(SOURCE)).collect();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        assert!(root().join(file).is_file(), "there is no `{file}`");
        let left_out = |path: &&str| file.starts_with(*path);
        assert_eq!(excluded().iter().find(|path| left_out(path)), None, "`{file}` is left out");
    }
}

#[test]
fn each_chart_is_on_a_page() {
    let folder = root().join("docs/bench").read_dir().expect("the folder of the charts");
    let paths = folder.filter_map(|entry| Some(entry.ok()?.path()));
    let charts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "svg"));
    let charts: Vec<_> =
        charts.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
    assert_eq!(charts.len(), 4, "{charts:?}");
    for chart in &charts {
        let shown = [README, COMPARISON, BENCHES].iter().any(|page| page.contains(chart.as_str()));
        assert!(shown, "`{chart}` is on no page");
    }
}
