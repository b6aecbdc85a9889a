//! Which module may use which. It reads paths in the sources, and nothing else of them.

use std::fs;
use std::path::Path;

/// Each module uses those before it alone. So there is no circle, and a phase is read without those
/// that come after it.
const ORDER: [&str; 10] = [
    "errors",
    "model",
    "attr",
    "check",
    "expand",
    "fallback",
    "phases",
    "snapshots",
    "order",
    "lib",
];

#[test]
fn each_module_uses_those_before_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![src.clone()];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let module = path.strip_prefix(&src).unwrap().with_extension("");
        let names: Vec<_> = module.iter().map(|name| name.to_str().unwrap()).collect();
        // The crate's root may be reached step by step, too.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace(&"super::".repeat(names.len()), "crate::");
        for used in text.split("crate::").skip(1).flat_map(first_names) {
            let below = used == names[0] || place(used) < place(names[0]);
            assert!(below, "{} uses `{used}`, which comes later", path.display());
        }
    }
}

fn place(module: &str) -> usize {
    let place = ORDER.iter().position(|known| *known == module);
    place.unwrap_or_else(|| panic!("`{module}` has no place in the order"))
}

/// `a` of `a::b`, and `a` and `b` of `{a, b::c}`.
fn first_names(path: &str) -> impl Iterator<Item = &str> {
    let list = match path.strip_prefix('{') {
        Some(group) => group.split('}').next(),
        None => path.split(',').next(),
    };
    let names = list.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    let end = |c: char| !c.is_alphanumeric() && c != '_';
    names.filter_map(move |name| name.split(end).next()).filter(|name| !name.is_empty())
}
