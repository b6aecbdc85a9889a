//! An export for the module's table, which it lacks: QuickJS calls back through entries of it.

/// The sections of a module, by their numbers.
const EXPORTS: u8 = 7;
/// What an export is: a table.
const TABLE: u8 = 1;
/// The magic number and the version.
const HEADER: usize = 8;

/// The module with its table exported as `name`; nothing if it cannot be read.
pub(crate) fn exported(wasm: &[u8], name: &str) -> Option<Vec<u8>> {
    let (header, mut rest) = wasm.split_at_checked(HEADER)?;
    let mut module = header.to_vec();
    while let Some((&section, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (contents, after) = after.split_at_checked(size as usize)?;
        rest = after;
        module.push(section);
        if section != EXPORTS {
            write(size, &mut module);
            module.extend_from_slice(contents);
            continue;
        }
        let (count, exports) = number(contents)?;
        let mut contents = Vec::new();
        write(count + 1, &mut contents);
        contents.extend_from_slice(exports);
        write(u32::try_from(name.len()).ok()?, &mut contents);
        contents.extend_from_slice(name.as_bytes());
        let the_first = 0;
        contents.extend([TABLE, the_first]);
        write(u32::try_from(contents.len()).ok()?, &mut module);
        module.append(&mut contents);
    }
    Some(module)
}

/// A number as wasm writes it, seven bits in a byte, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        number |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

fn write(mut number: u32, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}
