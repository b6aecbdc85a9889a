//! Commands that messages tell a user to run, as a shell runs them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use asyncify_rt::{AsyncImports, Error, Guest, ImportResult, Module};
use wasmtime::{Engine, FuncType};

use crate::common::block_on;

/// What a shell hands to the `wasm-opt` of `command`: the stub writes down its arguments.
fn run(command: &str) -> Vec<String> {
    let place = std::env::temp_dir().join(format!("asyncify-commands-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let stub = place.join("wasm-opt");
    std::fs::write(&stub, "#!/bin/sh\nfor argument; do printf '%s\\0' \"$argument\"; done\n")
        .unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("sh").args(["-c", command]).env("PATH", path).output().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    std::fs::remove_dir_all(place).unwrap();
    let arguments = String::from_utf8(ran.stdout).unwrap();
    arguments.split_terminator('\0').map(str::to_owned).collect()
}

/// Whether Binaryen takes `name` for one that `pattern` lists.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[test]
fn a_command_can_be_pasted_whatever_its_imports_are_called() {
    let names = [
        ("wasi:io/poll@0.2.0", "[method]pollable.block"),
        ("$root", "ask-twice"),
        ("$root", "ask, twice"),
        ("a b", "it's \"`date`\" $(date) \\"),
        ("env", "a\nb\u{1b}[31m"),
        ("@file", "x"),
        (" ", " "),
        ("", ""),
        ("env", "!#&;|<>(){}~?"),
    ];
    let engine = Engine::default();
    let (mut imports, mut asked) = (AsyncImports::new(), Vec::new());
    for (module, name) in names {
        imports.define(module, name, FuncType::new(&engine, [], []), |_, _| {
            Ok(ImportResult::Sync(vec![]))
        });
        let bytes =
            |name: &str| name.bytes().map(|b| format!("\\{b:02x}")).collect::<Vec<_>>().concat();
        asked.push(format!(r#"(import "{}" "{}" (func))"#, bytes(module), bytes(name)));
    }
    let (list, for_shell) = (imports.wasm_opt_arg_list(), imports.wasm_opt_args());
    let module = Module::new(&engine, format!("(module {} (memory 1))", asked.concat())).unwrap();
    let builder = Guest::builder(&module).async_imports(imports);
    let error = block_on(builder.instantiate()).unwrap_err();
    assert!(
        matches!(&error, Error::NotInstrumented { wasm_opt_args, .. } if *wasm_opt_args == for_shell)
    );
    let message = error.to_string();
    let command = message.lines().find(|line| line.starts_with("    wasm-opt")).unwrap();

    let arguments = run(command);
    let (before, after) = (["guest.wasm", "--asyncify", "-O2"], ["-o", "guest.async.wasm"]);
    assert_eq!(arguments[..3], before);
    assert_eq!(arguments[3..arguments.len() - 2], list);
    assert_eq!(arguments[arguments.len() - 2..], after);

    let listed = list[0].strip_prefix("--pass-arg=asyncify-imports@").unwrap();
    let listed: Vec<_> = listed.split(',').collect();
    assert_eq!(listed.len(), names.len());
    for ((module, name), pattern) in names.iter().zip(listed) {
        assert!(matches(pattern, &format!("{module}.{name}")), "{pattern} for {module}.{name}");
    }
}

#[test]
fn a_command_that_is_too_long_is_not_cut() {
    let engine = Engine::default();
    let mut imports = AsyncImports::new();
    let asked: Vec<_> =
        (0..1000).map(|i| format!(r#"(import "env" "import-{i}" (func))"#)).collect();
    for i in 0..1000 {
        let ty = FuncType::new(&engine, [], []);
        imports.define("env", &format!("import-{i}"), ty, |_, _| Ok(ImportResult::Sync(vec![])));
    }
    let module = Module::new(&engine, format!("(module {} (memory 1))", asked.concat())).unwrap();
    let builder = Guest::builder(&module).async_imports(imports);
    let message = block_on(builder.instantiate()).unwrap_err().to_string();
    assert!(
        message.contains("-O2 <what `AsyncImports::wasm_opt_args` returns> -o")
            && message.len() < 2000,
        "{message}"
    );
}
