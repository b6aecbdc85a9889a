//! Compares what the library says of the shadow stack pointer with what the toolchain says.
//!
//! `stack-pointers FILE.wasm[=EXPORT]…` prints a row for each. The truth is the index that the
//! module's name section gives, or that of the global which the function EXPORT returns. The
//! library is shown the same code with all names taken out. See `.ci/stack-pointers`.

use std::error::Error;
use std::process::ExitCode;

use asyncify::{FoundBy, Prepared, StackPointer};
use wasmparser::{
    BinaryReader, ExternalKind, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
};

/// What the toolchain says.
#[derive(Clone, Copy, PartialEq)]
enum Truth {
    /// This global is the stack pointer.
    Global(u32),
    /// This one is AssemblyScript's: its collector looks for objects between it and the top of the
    /// guest's own stack. Only names and exports tell of such a collector. Where they are gone, to
    /// be certain would let a call run in a region, where no object of its is found, and what it
    /// still uses is freed. To say that there is none would let calls run over each other's frames.
    /// So it has to be uncertain: calls that wait are then refused unless the user names
    /// the pointer or takes `StackPolicy::Exclusive`.
    Collected(u32),
    /// There is none.
    None,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut wrong = 0;
    let mut rows = 0;
    for argument in std::env::args().skip(1) {
        let (path, getter) = argument.split_once('=').unwrap_or((&argument, ""));
        let wasm = std::fs::read(path)?;
        let truth = truth(&wasm, getter)?;
        let prepared = Prepared::new(without_names(&wasm)?)?;
        let findings = prepared.findings();
        let said = findings.stack_pointer();
        let found = said.export().and_then(|export| {
            let mut globals = findings.mutable_globals().iter();
            globals.find(|global| global.names().any(|name| name == export))
        });
        let right = match (said, truth) {
            // Then nothing was guessed, and the row says nothing.
            (StackPointer::Found { by: FoundBy::Name(_), .. }, _) => false,
            (StackPointer::Found { .. }, Truth::Global(index)) => {
                found.is_some_and(|global| global.index() == index)
            }
            (StackPointer::Absent, Truth::None)
            | (StackPointer::Uncertain { .. }, Truth::Collected(_)) => true,
            _ => false,
        };
        let truth = match truth {
            Truth::Global(index) => format!("global {index}"),
            Truth::Collected(index) => format!("global {index}, collected"),
            Truth::None => "none".to_owned(),
        };
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".wasm");
        println!("{} {name:42} {truth:20} {said}", if right { "ok   " } else { "WRONG" });
        wrong += u32::from(!right);
        rows += 1;
    }
    println!("{rows} modules, {wrong} wrong");
    Ok(if rows > 0 && wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn truth(wasm: &[u8], getter: &str) -> Result<Truth, Box<dyn Error>> {
    let (mut imported, mut bodies, mut exported) = (0, Vec::new(), None);
    let mut has_names = false;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Func && export.name == getter {
                        exported = Some(export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            Payload::CustomSection(section) => {
                let KnownCustom::Name(names) = section.as_known() else { continue };
                has_names = true;
                for part in names {
                    let Name::Global(globals) = part? else { continue };
                    for global in globals {
                        let global = global?;
                        match global.name {
                            "__stack_pointer" => return Ok(Truth::Global(global.index)),
                            "~lib/memory/__stack_pointer" => {
                                return Ok(Truth::Collected(global.index));
                            }
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    if getter.is_empty() {
        return if has_names { Ok(Truth::None) } else { Err("the module has no names".into()) };
    }
    let function = usize::try_from(exported.ok_or("no such function is exported")?)?;
    let body = function.checked_sub(imported).and_then(|at| bodies.get(at)).ok_or("no body")?;
    let operators = body.get_operators_reader()?.into_iter().collect::<Result<Vec<_>, _>>()?;
    match operators.as_slice() {
        // Instrumented code reads Asyncify's state before that.
        [.., Operator::GlobalGet { global_index }, Operator::End] => {
            Ok(Truth::Global(*global_index))
        }
        _ => Err(format!("`{getter}` does not return a global").into()),
    }
}

/// The module less its custom sections, and so less all names but those of imports and exports.
fn without_names(wasm: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut kept = wasm.get(..8).ok_or("too short")?.to_vec();
    let mut reader = BinaryReader::new(&wasm[8..], 0);
    while !reader.eof() {
        let start = reader.current_position();
        let id = reader.read_u8()?;
        let len = reader.read_var_u32()?;
        reader.read_bytes(usize::try_from(len)?)?;
        if id != 0 {
            kept.extend_from_slice(&wasm[8 + start..8 + reader.current_position()]);
        }
    }
    Ok(kept)
}
