//! Which build of a module findings are of: the prepared module says it itself, in the name of an
//! export that is added last. It is the SHA-256 digest of the module, with that name's digits zero.
//!
//! So a compiled module, of which no bytes are left, still tells whose findings fit it.

use std::ops::Range;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

use super::parse::invalid;
use crate::error::Result;

const PREFIX: &str = "asyncify:build:";
const DIGITS: usize = 64;

/// The export's name before its digits are known.
pub(super) fn unwritten() -> String {
    format!("{PREFIX}{:0>DIGITS$}", "")
}

/// Whether an export has such a name.
pub(super) fn is_name(export: &str) -> bool {
    export.starts_with(PREFIX)
}

/// The export's name for the build whose digits these are.
pub(super) fn name(digits: &str) -> String {
    format!("{PREFIX}{digits}")
}

/// Writes the digits of a module that has them [`unwritten`]: what they are. Nothing where it has no
/// such export, because there is nothing that one could be of.
pub(super) fn write(wasm: &mut [u8]) -> Result<Option<String>> {
    let Some(place) = place(wasm)? else { return Ok(None) };
    let digits = digest(wasm, &place);
    if let Some(place) = wasm.get_mut(place) {
        place.copy_from_slice(digits.as_bytes());
    }
    Ok(Some(digits))
}

/// The digits of a prepared module, if it is still as it was prepared.
pub(super) fn read(wasm: &[u8]) -> Result<Option<String>> {
    let Some(place) = place(wasm)? else { return Ok(None) };
    let digits = digest(wasm, &place);
    match wasm.get(place) {
        Some(written) if written == digits.as_bytes() => Ok(Some(digits)),
        _ => Err(invalid(format!(
            "it was prepared and then changed, or it has an export of its own whose name begins with `{PREFIX}`; prepare the original module, without such a name"
        ))),
    }
}

/// Where the digits stand.
fn place(wasm: &[u8]) -> Result<Option<Range<usize>>> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::ExportSection(exports) = payload.map_err(invalid)? else { continue };
        for export in exports.into_iter_with_offsets() {
            let (start, export) = export.map_err(invalid)?;
            if !is_name(export.name) {
                continue;
            }
            // Its length is one byte; a longer form of that is not what was written.
            let begin = start + 1 + PREFIX.len();
            let place = begin..begin + DIGITS;
            let named = export.name.len() == PREFIX.len() + DIGITS;
            let stands = wasm.get(start + 1..place.end) == Some(export.name.as_bytes());
            return if named && stands {
                Ok(Some(place))
            } else {
                Err(invalid(format!(
                    "it has an export whose name begins with `{PREFIX}`; rename it"
                )))
            };
        }
        break;
    }
    Ok(None)
}

fn digest(wasm: &[u8], place: &Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(wasm.get(..place.start).unwrap_or_default());
    hash.update([b'0'; DIGITS]);
    hash.update(wasm.get(place.end..).unwrap_or_default());
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
    hash.finalize().iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
}
