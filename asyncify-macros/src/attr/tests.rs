//! Each key, and each mistake in one by its whole message. No item is here.

use super::*;

fn messages(args: &str, place: Place) -> Vec<String> {
    let mut errors = Errors::default();
    match args.parse() {
        Ok(args) => drop(parse(args, place, &mut errors)),
        Err(error) => return vec![error.to_string()],
    }
    errors.messages()
}

#[test]
fn keys_are_read() {
    let mut errors = Errors::default();
    let args = quote::quote!(name = "a", module = "m", result = "out", trampoline,);
    let attrs = parse(args, Place::Import, &mut errors);
    assert_eq!(attrs.name.map(|name| name.value()).as_deref(), Some("a"));
    assert_eq!(attrs.module.map(|module| module.value()).as_deref(), Some("m"));
    assert_eq!(attrs.result, Some(Mode::Out));
    assert!(attrs.trampoline.is_some() && attrs.skip.is_none());
    let args = quote::quote!(crate = ::some::path, module = "m");
    let attrs = parse(args, Place::Imports, &mut errors);
    assert!(attrs.krate.is_some());
    assert_eq!(errors.messages(), [""; 0]);
}

#[test]
fn mistakes_are_named() {
    use Place::{Export, Exports, Import, Imports};
    let table: [(Place, &str, &[&str]); 23] = [
        (Imports, "", &[]),
        (
            Imports,
            "modul = \"env\"",
            &[
                "unknown key `modul`, expected one of: `module`, `crate`, `part`, `parts`; did you mean `module`?",
            ],
        ),
        (
            Imports,
            "magic = 1",
            &["unknown key `magic`, expected one of: `module`, `crate`, `part`, `parts`"],
        ),
        (
            Imports,
            "name = \"a\"",
            &[
                "`name` is no key of `#[asyncify::imports]`; `name = \"…\"` belongs in `#[asyncify(…)]` on a function of an imports block",
            ],
        ),
        (
            Exports,
            "module = \"a\"",
            &[
                "`module` is no key of `#[asyncify::exports]`; `module = \"…\"` belongs in `#[asyncify::imports]`",
            ],
        ),
        (
            Export,
            "skip",
            &[
                "`skip` is no key of `#[asyncify(…)]` on a function of an exports trait; `skip` belongs in `#[asyncify(…)]` on a function of an imports block",
            ],
        ),
        (Imports, "module = \"a\", module = \"b\"", &["duplicate key `module`; write it once"]),
        (Imports, "module", &["`module` needs a value; write `module = \"…\"`"]),
        (Imports, "module =", &["`module` needs a value; write `module = \"…\"`"]),
        (Imports, "module = env", &["`module` takes a string; write `module = \"…\"`"]),
        // A name of wasm may be any text.
        (Imports, "module = \"\"", &[]),
        (Import, "name = \"\", module = \"a.b,c@*\\0\\n\"", &[]),
        (Export, "name = \"\"", &[]),
        (Import, "result = \"\"", &["unknown `result` ``, expected one of: `packed`, `out`"]),
        (
            Imports,
            "crate = \"asyncify\"",
            &["`crate` takes a path without quotes; write `crate = path::to::asyncify`"],
        ),
        (
            Imports,
            "\"env\"",
            &[
                "expected one of: `module = \"…\"`, `crate = path::to::asyncify`, `part = Type`, `parts = [Type, …]`",
            ],
        ),
        (
            Imports,
            "part = \"Net\"",
            &["`part` takes a type that names the block; write `part = Type`"],
        ),
        (
            Imports,
            "parts = Net",
            &["`parts` takes the types that name other blocks; write `parts = [Type, …]`"],
        ),
        (Imports, "parts = [net::Net, Clock<u32>,], part = Net", &[]),
        (Import, "skip = true", &["`skip` takes no value; write `skip`"]),
        (
            Import,
            "name(\"a\")",
            &[
                "expected one of: `module = \"…\"`, `name = \"…\"`, `result = \"packed\" | \"out\"`, `skip`, `trampoline`",
            ],
        ),
        (
            Import,
            "result = \"pointer\"",
            &["unknown `result` `pointer`, expected one of: `packed`, `out`"],
        ),
        (
            Import,
            "nam = \"a\", , skipp",
            &[
                "unknown key `nam`, expected one of: `module`, `name`, `result`, `skip`, `trampoline`; did you mean `name`?",
                "unknown key `skipp`, expected one of: `module`, `name`, `result`, `skip`, `trampoline`; did you mean `skip`?",
            ],
        ),
    ];
    for (place, args, expected) in table {
        assert_eq!(messages(args, place), expected, "{args}");
    }
}

#[test]
fn distances() {
    for (from, to, expected) in
        [("name", "name", 0), ("nam", "name", 1), ("anme", "name", 2), ("", "skip", 4)]
    {
        assert_eq!(distance(from, to), expected, "{from} {to}");
    }
}
