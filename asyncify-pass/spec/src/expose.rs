//! Exports a module's memories and globals, so that they can be compared.

use wasmparser::{Parser, Payload, Result, TypeRef};

/// What the added exports' names begin with.
const PREFIX: &str = "spec:";

/// The section of exports, and those that stand behind it.
const EXPORTS: u8 = 7;
const BEHIND: [u8; 5] = [8, 9, 10, 11, 12];

/// A module like a valid one, with an export more for each memory and global, and its exports'
/// names.
pub(crate) fn expose(wasm: &[u8]) -> Result<(Vec<u8>, Vec<String>)> {
    let (mut memories, mut globals, mut count) = (0, 0, 0);
    let mut names = Vec::new();
    let mut old: &[u8] = &[];
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import?.ty {
                        TypeRef::Memory(_) => memories += 1,
                        TypeRef::Global(_) => globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::MemorySection(section) => memories += section.count(),
            Payload::GlobalSection(section) => globals += section.count(),
            Payload::ExportSection(section) => {
                count = section.count();
                let body = &wasm[section.range()];
                old = &body[leb_len(body)..];
                for export in section {
                    names.push(export?.name.to_owned());
                }
            }
            _ => {}
        }
    }
    let mut body = Vec::new();
    leb(&mut body, count + memories + globals);
    body.extend_from_slice(old);
    for (letter, kind, count) in [('m', 2, memories), ('g', 3, globals)] {
        for index in 0..count {
            let name = format!("{PREFIX}{letter}{index}");
            leb(&mut body, u32::try_from(name.len()).unwrap_or(0));
            body.extend_from_slice(name.as_bytes());
            body.push(kind);
            leb(&mut body, index);
            names.push(name);
        }
    }
    let mut section = vec![EXPORTS];
    leb(&mut section, u32::try_from(body.len()).unwrap_or(0));
    section.extend(body);
    Ok((splice(wasm, &section), names))
}

/// Replaces the section of exports, or puts it where it belongs.
fn splice(wasm: &[u8], section: &[u8]) -> Vec<u8> {
    let mut at = 8;
    while at < wasm.len() {
        let id = wasm[at];
        let size = &wasm[at + 1..];
        let next = at + 1 + leb_len(size) + leb_value(size);
        if id == EXPORTS {
            return [&wasm[..at], section, &wasm[next..]].concat();
        }
        if BEHIND.contains(&id) {
            break;
        }
        at = next;
    }
    [&wasm[..at], section, &wasm[at..]].concat()
}

fn leb(bytes: &mut Vec<u8>, mut value: u32) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7F;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn leb_len(bytes: &[u8]) -> usize {
    1 + bytes.iter().take_while(|byte| **byte & 0x80 != 0).count()
}

fn leb_value(bytes: &[u8]) -> usize {
    let low = bytes[..leb_len(bytes)].iter().rev().map(|byte| usize::from(byte & 0x7F));
    low.fold(0, |value, byte| value << 7 | byte)
}
