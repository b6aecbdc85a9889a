//! Files that are no core modules: each is told as what it is, by the file's name.

use std::path::PathBuf;

use asyncify_rt::{Error, Module, Prepared};
use wasmparser::Parser;
use wasmtime::Engine;

use super::instrumented;

/// What begins so, and what is said of it.
const OTHERS: [(&[u8], &str); 29] = [
    (b"", "it is empty; write the module to it, or look at what should have"),
    (b"\n  \n", "it is blank; write"),
    (b"\0as", "it is cut off in the first bytes of a module; copy or fetch it once more"),
    (b"\0asm\x01\0", "it is cut off in the first bytes of a module; "),
    (
        b"\0asm\x01\0\0\0\x01\x04\x01\x60",
        "it is cut off at byte 12, in the middle of a section; copy or fetch",
    ),
    (b"\0asm\x01\0\0\0\x07\x85", "it is cut off at byte 10, in the middle"),
    (b"\0asm\x0d\0\x01\0", "it is a component; a core module is needed: take the one that"),
    (b"(component)", "it is a component, as text; a core module is needed"),
    (b" ;; one\n (; two ;) (component (core module))", "it is a component, as text; "),
    (b"\0asm\x02\0\0\0", "it is of a version of WebAssembly other than 1; build it with"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "it is gzip data; unpack it"),
    (b"\x28\xb5\x2f\xfd\x04", "it is zstd data; unpack it"),
    (b"\xfd7zXZ\0\0", "it is xz data; unpack it"),
    (b"BZh91AY", "it is bzip2 data; unpack it"),
    (b"PK\x03\x04\x14", "it is a zip archive; unpack it"),
    (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "it is a pointer of Git LFS to the file that is meant; fetch that with `git lfs pull`",
    ),
    (
        b"\x7fELF\x02\x01",
        "it is an ELF file: a native program, or a module that wasmtime compiled before; load",
    ),
    (b"MZ\x90\0", "it is a Windows program; compile the guest for wasm32"),
    (b"\xcf\xfa\xed\xfe\x07", "it is a macOS program; compile the guest for wasm32"),
    (b"BC\xc0\xde\x35", "it is LLVM bitcode; link it to a module"),
    (b"!<arch>\nlib.o/", "it is a library of objects; link it to a module"),
    (b"asyncify prepared 1\n", "it is a prepared module; read it with `Prepared::from_bytes`"),
    (b"{\"name\": 1}", "it is JSON; load the .wasm file that belongs to it"),
    (b"#!/bin/sh\n", "it is a script; load the .wasm file"),
    (
        b"<!DOCTYPE html><title>404</title>",
        "it is HTML; it may be an error page of the server that it was fetched from; look into it",
    ),
    (b"\xef\xbb\xbf\n <HTML>", "it is HTML; "),
    (b"<?xml version=\"1.0\"?><Error/>", "it is XML; "),
    (b"var Module = {};", "it is JavaScript; load the .wasm file that belongs to it"),
    (b"export default async function", "it is JavaScript; "),
];

fn reason(error: &Error) -> String {
    let Error::InvalidModule { source, .. } = error else { panic!("{error:?}") };
    source.to_string()
}

#[test]
fn each_is_told_as_what_it_is() {
    for (bytes, what) in OTHERS {
        let error = Prepared::new(bytes).unwrap_err();
        assert!(reason(&error).starts_with(what), "{error}");
        let text = format!("this is not a WebAssembly module that the engine accepts: {what}");
        assert!(error.to_string().starts_with(&text), "{error}");
        let error = Module::from_binary(&Engine::default(), bytes).unwrap_err();
        assert!(reason(&error).starts_with(what), "{error}");
    }
}

#[test]
fn text_is_refused_where_a_binary_is_asked_for() {
    for text in ["(module)", " (; a\n comment ;) ;; and another\n(module)"] {
        assert!(Module::new(&Engine::default(), text).is_ok());
        let error = Module::from_binary(&Engine::default(), text.as_bytes()).unwrap_err();
        assert_eq!(reason(&error), "it is a module as text; load it with `Module::new`");
    }
}

#[test]
fn the_file_is_named() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-module.wasm");
    std::fs::write(&path, b"\x1f\x8b\x08").unwrap();
    let error = Module::from_file(&Engine::default(), &path).unwrap_err();
    let name = path.display().to_string();
    assert!(matches!(&error, Error::InvalidModule { file: Some(file), .. } if *file == name));
    let text = "is not a WebAssembly module that the engine accepts: it is gzip data; unpack it";
    assert_eq!(error.to_string(), format!("`{name}` {text}"));
    // What the engine refuses is one too.
    std::fs::write(&path, "(module (func (result i32) (i64.const 1)))").unwrap();
    let error = Module::from_file(&Engine::default(), &path).unwrap_err();
    assert!(error.to_string().starts_with(&format!("`{name}` is not a")), "{error}");
}

/// What is cut between two sections may be a module yet.
#[test]
fn wherever_a_section_is_cut_it_is_told() {
    let wasm = wat::parse_str(instrumented(r#"(memory 1) (data (i32.const 64) "data")"#)).unwrap();
    let sections = Parser::new(0).parse_all(&wasm);
    let ends = sections.filter_map(|payload| Some(payload.unwrap().as_section()?.1.end));
    let ends: Vec<_> = ends.chain([8]).collect();
    assert!(ends.len() > 5);
    for at in (9..wasm.len()).filter(|at| !ends.contains(at)) {
        let error = Prepared::new(&wasm[..at]).unwrap_err();
        let what = format!("it is cut off at byte {at}, in the middle of a section; ");
        assert!(reason(&error).starts_with(&what), "{error}");
    }
}
