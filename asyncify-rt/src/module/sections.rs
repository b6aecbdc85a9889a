//! A module with some of its sections replaced; all others stay as they are, byte for byte.

use std::collections::BTreeMap;

use wasm_encoder::{Encode, RawSection, Section as _};
use wasmparser::BinaryReader;

use super::parse::{Parsed, invalid};
use crate::error::Result;

pub(super) const GLOBAL: u8 = 6;
pub(super) const EXPORT: u8 = 7;
pub(super) const CODE: u8 = 10;

/// The order in which sections stand in a module. Custom ones stand anywhere.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// The contents of the sections to be replaced, by their ids.
pub(super) type Replaced = BTreeMap<u8, Vec<u8>>;

/// The module `wasm` with the sections `replaced`. One that it does not have is put in its place;
/// custom ones of which `is_stale` answers so by their names are left out.
pub(super) fn rebuild(
    wasm: &[u8],
    parsed: &Parsed<'_>,
    mut replaced: Replaced,
    is_stale: impl Fn(&str) -> bool,
) -> Result<Vec<u8>> {
    let mut rebuilt = part(wasm, 0..8)?.to_vec();
    for section in &parsed.sections {
        if section.name.is_some_and(&is_stale) {
            continue;
        }
        let place = ORDER.iter().position(|id| *id == section.id);
        for id in ORDER.into_iter().take(place.unwrap_or_default()) {
            add(&mut rebuilt, id, replaced.remove(&id))?;
        }
        match replaced.remove(&section.id) {
            Some(contents) => add(&mut rebuilt, section.id, Some(contents))?,
            None => rebuilt.extend_from_slice(part(wasm, section.whole.clone())?),
        }
    }
    for id in ORDER {
        add(&mut rebuilt, id, replaced.remove(&id))?;
    }
    Ok(rebuilt)
}

fn add(rebuilt: &mut Vec<u8>, id: u8, contents: Option<Vec<u8>>) -> Result<()> {
    let Some(contents) = contents else { return Ok(()) };
    u32::try_from(contents.len()).map_err(|_| too_large())?;
    RawSection { id, data: &contents }.append_to(rebuilt);
    Ok(())
}

/// The contents of the section `id`, with `count` entries more.
pub(super) fn extended(
    wasm: &[u8],
    parsed: &Parsed<'_>,
    id: u8,
    count: usize,
    entries: &[u8],
) -> Result<Vec<u8>> {
    let section = parsed.sections.iter().find(|section| section.id == id);
    let (before, old) = match section {
        None => (0, &[][..]),
        Some(section) => {
            let mut reader = BinaryReader::new(part(wasm, section.contents.clone())?, 0);
            let before = reader.read_var_u32().map_err(invalid)?;
            (before, reader.read_bytes(reader.bytes_remaining()).map_err(invalid)?)
        }
    };
    let count = u32::try_from(count).ok().and_then(|count| before.checked_add(count));
    let mut contents = Vec::with_capacity(old.len() + entries.len() + 5);
    count.ok_or_else(too_large)?.encode(&mut contents);
    contents.extend_from_slice(old);
    contents.extend_from_slice(entries);
    Ok(contents)
}

fn part(wasm: &[u8], range: std::ops::Range<usize>) -> Result<&[u8]> {
    wasm.get(range).ok_or_else(|| invalid("a section lies outside the module"))
}

fn too_large() -> crate::error::Error {
    invalid("a section is too large to add to")
}
