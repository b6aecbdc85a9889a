//! Names of a module may be anything: what is said of them stays readable, short, and one line.

use asyncify_rt::{AsyncImports, Error, Guest, ImportResult, Module};
use wasmtime::{Engine, FuncType};

use crate::common::{block_on, fails};

const HOSTILE: [&str; 4] =
    ["\u{1b}[2J\u{1b}[31mred\r", "x\nerror: y", "\u{202e}\u{2066}\u{200b}\u{85}`", ""];

/// Text for a wat string.
fn wat(name: &str) -> String {
    name.bytes().map(|byte| format!("\\{byte:02x}")).collect::<Vec<_>>().concat()
}

fn hostile() -> impl Iterator<Item = String> {
    HOSTILE.into_iter().map(str::to_owned).chain(["n".repeat(90_000), "\u{1b}\n".repeat(45_000)])
}

fn is_fit_to_print(message: &str) -> bool {
    let misleads =
        |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{200b}".contains(c));
    message.len() <= 8 << 10
        && !message.contains(misleads)
        && !message.lines().any(|line| line.starts_with("error: y"))
}

fn assert_fit(error: &Error) {
    assert!(is_fit_to_print(&error.to_string()), "{error}");
    assert!(is_fit_to_print(&format!("{error:?}")), "{error:?}");
}

#[test]
fn imports_exports_and_functions_are_named_as_they_can_be_read() {
    let engine = Engine::default();
    for name in hostile() {
        let name = wat(&name);
        let imports = [
            format!(r#"(import "{name}" "{name}" (func $f))"#),
            format!(r#"(import "{name}" "{name}" (global i32))"#),
            format!(r#"(import "{name}" "{name}" (memory 1))(import "e" "m" (func $f))"#),
        ];
        for import in imports {
            let module = Module::new(&engine, format!("(module {import})")).unwrap();
            assert_fit(&block_on(Guest::builder(&module).instantiate()).unwrap_err());
        }
        let module = Module::new(
            &engine,
            format!(
                r#"(module (memory 1) (global (export "g{name}") (mut i32) (i32.const 0))
                (func $f (@name "{name}") (export "{name}") (param i32) unreachable)
                (table (export "t{name}") 2 funcref) (elem (i32.const 0) $f))"#
            ),
        )
        .unwrap();
        let guest = block_on(Guest::builder(&module).instantiate()).unwrap();
        let exports: Vec<_> = guest.all_exports().iter().map(|(name, _)| name.to_owned()).collect();
        for export in &exports {
            let exports = guest.all_exports();
            assert_fit(&exports.typed::<(u64,), (u64,)>(export).unwrap_err());
            assert_fit(&exports.typed::<(), ()>(&format!("{export}.")).unwrap_err());
            if let Ok(run) = exports.typed::<(i32,), ()>(export) {
                let error = fails(&mut run.call((1,)));
                assert!(matches!(&error, Error::Trap { function, .. } if function == export));
                assert_fit(&error);
                assert_fit(&fails(&mut run.call((1,))));
            }
            let again = Guest::builder(&module).stack_pointer(format!("{export}!")).instantiate();
            assert_fit(&block_on(again).unwrap_err());
        }
        let printed = module.findings().stack_pointer().to_string();
        assert!(is_fit_to_print(&printed), "{printed}");
    }
}

#[test]
fn what_the_engine_says_of_a_module_is_one_line() {
    let engine = Engine::default();
    for name in hostile() {
        let name = wat(&name);
        let twice = format!(r#"(module (func (export "{name}")) (func (export "{name}")))"#);
        let twice = wasm(&twice);
        assert_fit(&Module::from_binary(&engine, &twice).unwrap_err());
    }
}

/// A module in binary, whether it is valid or not.
fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn suspending_imports_are_named_as_they_can_be_read() {
    let engine = Engine::default();
    for name in hostile() {
        let escaped = wat(&name);
        let module = Module::new(
            &engine,
            format!(r#"(module (import "{escaped}" "{escaped}" (func $wait)) (memory 1) (func (export "run") call $wait))"#),
        )
        .unwrap();
        let mut imports = AsyncImports::new();
        imports.define(&name, &name, FuncType::new(&engine, [], []), |_, _| {
            Ok(ImportResult::wait(std::future::pending()))
        });
        let builder = Guest::builder(&module).async_imports(imports);
        let error = block_on(builder.instantiate()).unwrap_err();
        assert!(matches!(error, Error::NotInstrumented { .. }), "{error:?}");
        assert_fit(&error);
    }
}
