//! Tells a guest that has a collector which scans its own stack, by the names of its functions.

use wasmparser::ExternalKind;

use super::parse::Parsed;

/// Names, and with a `*` what names begin with: of the runtimes of
/// AssemblyScript and TinyGo, of Boehm's collector, of MicroPython and of Ruby.
const NAMES: [&str; 9] = [
    "__collect",
    "__visit",
    "~lib/rt/*",
    "tinygo_*",
    "GC_*",
    "gc_collect*",
    "mp_obj_*",
    "mp_js_*",
    "rb_gc*",
];

/// The first of the names that a function has, exported or not.
pub(super) fn find(parsed: &Parsed<'_>) -> Option<&'static str> {
    let fits = |wanted: &str, name: &str| match wanted.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == wanted,
    };
    NAMES.into_iter().find(|wanted| {
        let mut exported = parsed.exported(ExternalKind::Func).map(|(name, _)| name);
        let mut named = parsed.function_names.values();
        exported.any(|name| fits(wanted, name)) || named.any(|name| fits(wanted, name))
    })
}
