//! The module anew: what it had, byte for byte, and what is added behind that.

use std::collections::BTreeMap;

use wasm_encoder::{Encode, InstructionSink};

use crate::added::{Added, encoded, zero};
use crate::error::Result;
use crate::module::Module;

/// The order in which an engine takes sections.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// What is to stand in the module.
pub(crate) struct Parts {
    /// The types of the functions that are added.
    pub(crate) functions: Vec<u32>,
    /// All bodies, the module's own first.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// Exports, as name, kind and index.
    pub(crate) exports: Vec<(String, u8, u32)>,
    /// For each of the module's own exports, what it leads to now.
    pub(crate) moved: Vec<u32>,
    pub(crate) companions: Vec<u32>,
    /// Functions that code may refer to.
    pub(crate) declared: Vec<u32>,
    pub(crate) keeps_start: bool,
    /// For each function, where an `if` stands that is seldom taken.
    pub(crate) seldom: Vec<(u32, Vec<u32>)>,
    pub(crate) most_pages: u64,
}

pub(crate) fn write(module: &Module<'_>, added: &Added, parts: &Parts) -> Result<Vec<u8>> {
    let mut sections: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut customs = (Vec::new(), Vec::new());
    let rank = |id: u8| ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len());
    let mut content: BTreeMap<u8, &[u8]> = BTreeMap::new();
    for section in &module.sections {
        let bytes = module.bytes.get(section.start..section.end).unwrap_or_default();
        if section.id == 0 {
            if is_kept(bytes) {
                let into = if content.is_empty() { &mut customs.0 } else { &mut customs.1 };
                into.push(0);
                bytes.len().encode(into);
                into.extend_from_slice(bytes);
            }
        } else {
            content.insert(section.id, bytes);
        }
    }
    for id in ORDER {
        let own = content.get(&id).copied();
        let bytes = match id {
            1 => Some(appended(own, added.types.added.len(), &types(added)?)),
            3 => Some(appended(own, parts.functions.len(), &encoded_all(&parts.functions))),
            4 => Some(appended(own, 1 + added.references.len(), &tables(added, parts))),
            5 => Some(appended(own, 1, &memory(parts))),
            6 => Some(globals(own, added)?),
            7 => Some(exports(module, parts)),
            8 if !parts.keeps_start => None,
            9 => Some(elements(own, added, parts)),
            10 => {
                let mut bytes = Vec::new();
                parts.bodies.len().encode(&mut bytes);
                for body in &parts.bodies {
                    body.as_slice().encode(&mut bytes);
                }
                Some(bytes)
            }
            _ => own.map(<[u8]>::to_vec),
        };
        if let Some(bytes) = bytes {
            sections.insert(rank(id), bytes);
        }
    }
    let mut whole = b"\0asm\x01\0\0\0".to_vec();
    whole.extend_from_slice(&customs.0);
    for (rank, bytes) in sections {
        if ORDER.get(rank) == Some(&10) {
            let hints = hints(parts);
            whole.push(0);
            hints.as_slice().encode(&mut whole);
        }
        whole.push(ORDER.get(rank).copied().unwrap_or_default());
        bytes.as_slice().encode(&mut whole);
    }
    whole.extend_from_slice(&customs.1);
    Ok(whole)
}

/// Whether a custom section says nothing of places in the code, which have moved.
fn is_kept(section: &[u8]) -> bool {
    let mut reader = wasmparser::BinaryReader::new(section, 0);
    let name = reader.read_string().unwrap_or_default();
    !(name.starts_with(".debug_")
        || name.starts_with("reloc.")
        || name.starts_with("metadata.code.")
        || ["linking", "sourceMappingURL", "external_debug_info"].contains(&name))
}

/// Which branches are seldom taken, as the proposal for branch hints has it: an engine that reads
/// it keeps the ways out away from the others.
fn hints(parts: &Parts) -> Vec<u8> {
    const SELDOM: u32 = 0;
    let mut bytes = Vec::new();
    "metadata.code.branch_hint".encode(&mut bytes);
    let hinted = || parts.seldom.iter().filter(|(_, places)| !places.is_empty());
    hinted().count().encode(&mut bytes);
    for (function, places) in hinted() {
        function.encode(&mut bytes);
        places.len().encode(&mut bytes);
        for place in places {
            place.encode(&mut bytes);
            1_u32.encode(&mut bytes);
            SELDOM.encode(&mut bytes);
        }
    }
    bytes
}

/// A section with more items behind its own.
fn appended(own: Option<&[u8]>, more: usize, items: &[u8]) -> Vec<u8> {
    let mut reader = wasmparser::BinaryReader::new(own.unwrap_or(&[0]), 0);
    let count = reader.read_var_u32().unwrap_or_default() as usize;
    let mut bytes = Vec::new();
    (count + more).encode(&mut bytes);
    let rest = reader.original_position();
    bytes.extend_from_slice(own.and_then(|own| own.get(rest..)).unwrap_or_default());
    bytes.extend_from_slice(items);
    bytes
}

fn encoded_all(values: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        value.encode(&mut bytes);
    }
    bytes
}

fn types(added: &Added) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (params, results) in &added.types.added {
        bytes.push(0x60);
        for list in [params, results] {
            list.len().encode(&mut bytes);
            for ty in list {
                encoded(*ty)?.encode(&mut bytes);
            }
        }
    }
    Ok(bytes)
}

fn tables(added: &Added, parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = parts.companions.len() as u64;
    let table = |element_type, minimum, maximum| wasm_encoder::TableType {
        element_type,
        minimum,
        maximum,
        table64: false,
        shared: false,
    };
    table(wasm_encoder::RefType::FUNCREF, count, Some(count)).encode(&mut bytes);
    for references in &added.references {
        table(references.ty, 16, None).encode(&mut bytes);
    }
    bytes
}

fn memory(parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ty = wasm_encoder::MemoryType {
        minimum: 1,
        maximum: Some(parts.most_pages.clamp(1, 65_535)),
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    ty.encode(&mut bytes);
    bytes
}

fn globals(own: Option<&[u8]>, added: &Added) -> Result<Vec<u8>> {
    let i32 = wasmparser::ValType::I32;
    let exn = wasmparser::ValType::Ref(wasmparser::RefType::EXN.nullable());
    let mut types = vec![i32, i32, i32, i32, wasmparser::ValType::I64];
    types.extend(added.exn.map(|_| exn));
    types.extend_from_slice(&added.results);
    let mut bytes = Vec::new();
    for (place, ty) in types.iter().enumerate() {
        let global =
            wasm_encoder::GlobalType { val_type: encoded(*ty)?, mutable: true, shared: false };
        global.encode(&mut bytes);
        let mut code = InstructionSink::new(&mut bytes);
        // The frames begin behind the word by which an import says that it is pending.
        if place == 1 {
            code.i32_const(FRAMES);
        } else {
            zero(&mut code, *ty)?;
        }
        code.end();
    }
    Ok(appended(own, types.len(), &bytes))
}

/// Where the first frame stands.
const FRAMES: i32 = 16;

fn exports(module: &Module<'_>, parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    (module.exports.len() + parts.exports.len()).encode(&mut bytes);
    for (export, index) in module.exports.iter().zip(&parts.moved) {
        export.name.encode(&mut bytes);
        bytes.push(kind(export.kind));
        index.encode(&mut bytes);
    }
    for (name, kind, index) in &parts.exports {
        name.as_str().encode(&mut bytes);
        bytes.push(*kind);
        index.encode(&mut bytes);
    }
    bytes
}

fn kind(kind: wasmparser::ExternalKind) -> u8 {
    match kind {
        wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact => 0,
        wasmparser::ExternalKind::Table => 1,
        wasmparser::ExternalKind::Memory => 2,
        wasmparser::ExternalKind::Global => 3,
        wasmparser::ExternalKind::Tag => 4,
    }
}

fn elements(own: Option<&[u8]>, added: &Added, parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Active, in a table that is named.
    2_u32.encode(&mut bytes);
    added.companions.encode(&mut bytes);
    InstructionSink::new(&mut bytes).i32_const(0).end();
    bytes.push(0);
    parts.companions.as_slice().encode(&mut bytes);
    // Declared, so that code may refer to them.
    3_u32.encode(&mut bytes);
    bytes.push(0);
    parts.declared.as_slice().encode(&mut bytes);
    appended(own, 2, &bytes)
}
