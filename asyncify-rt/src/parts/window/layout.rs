//! The struct at a window's start. No other file knows its layout.
//!
//! Binaryen's `src/passes/Asyncify.cpp` defines it.
//!
//! ```text
//! window      0        4 (8)      16             16 + size        + slack
//!             +--------+----------+--------------+----------------+
//!             | pos    | end      | frames  -->  | slack          |
//!             +--------+----------+--------------+----------------+
//! ```
//!
//! `pos` and `end` are i32 on memory32 and i64 on memory64. Frames grow upwards from the window's
//! start, the innermost first.

use crate::parts::memory::{self, OutOfBounds, PointerWidth};

/// Bytes before the first frame: `pos`, `end`, and alignment.
pub(crate) const HEADER: u64 = 16;

/// The struct at a window's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) pos: u64,
    pub(crate) end: u64,
}

impl Struct {
    #[allow(clippy::cast_possible_truncation, reason = "a memory32's addresses fit 32 bits")]
    pub(crate) fn write(
        self,
        memory: &mut [u8],
        at: u64,
        width: PointerWidth,
    ) -> Result<(), OutOfBounds> {
        match width {
            PointerWidth::Memory32 => {
                let packed = self.end << 32 | self.pos & 0xffff_ffff;
                memory::slice_mut(memory, at, 8)?.copy_from_slice(&packed.to_le_bytes());
            }
            PointerWidth::Memory64 => {
                let (pos, end) = memory::slice_mut(memory, at, 16)?.split_at_mut(8);
                pos.copy_from_slice(&self.pos.to_le_bytes());
                end.copy_from_slice(&self.end.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Reads `pos`.
    pub(crate) fn pos(memory: &[u8], at: u64, width: PointerWidth) -> Result<u64, OutOfBounds> {
        let bytes = memory::slice(memory, at, width.bytes().into())?;
        Ok(match (bytes.first_chunk(), bytes.first_chunk()) {
            (Some(pos), _) => u64::from_le_bytes(*pos),
            (None, Some(pos)) => u32::from_le_bytes(*pos).into(),
            (None, None) => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [(PointerWidth, u64); 2] =
        [(PointerWidth::Memory32, 8), (PointerWidth::Memory64, 16)];

    #[test]
    fn the_struct_is_laid_out_as_binaryen_has_it() {
        let at = Struct { pos: 0x0102_0304, end: 0x0506_0708 };
        let mut memory = [0xee; 24];
        at.write(&mut memory, 4, PointerWidth::Memory32).unwrap();
        assert_eq!(memory[..4], [0xee; 4]);
        assert_eq!(memory[4..12], [4, 3, 2, 1, 8, 7, 6, 5]);
        assert_eq!(memory[12..], [0xee; 12]);
        let mut memory = [0xee; 24];
        at.write(&mut memory, 4, PointerWidth::Memory64).unwrap();
        assert_eq!(memory[..4], [0xee; 4]);
        assert_eq!(memory[4..20], [4, 3, 2, 1, 0, 0, 0, 0, 8, 7, 6, 5, 0, 0, 0, 0]);
        assert_eq!(memory[20..], [0xee; 4]);
    }

    #[test]
    fn the_struct_may_end_where_the_memory_does() {
        for (width, bytes) in WIDTHS {
            let mut memory = vec![0; 64];
            let at = 64 - bytes;
            let limit = if bytes == 8 { u32::MAX.into() } else { u64::MAX };
            for pos in [0, 1, limit / 3, limit] {
                Struct { pos, end: limit }.write(&mut memory, at, width).unwrap();
                assert_eq!(Struct::pos(&memory, at, width), Ok(pos));
            }
            let beyond = Struct { pos: 1, end: 2 }.write(&mut memory, at + 1, width);
            let memory_size = 64;
            assert_eq!(beyond, Err(OutOfBounds { ptr: at + 1, len: bytes, memory_size }));
            let half = bytes / 2;
            assert!(Struct::pos(&memory, 64 - half, width).is_ok(), "only `pos` is read");
            let beyond = Struct::pos(&memory, 65 - half, width);
            assert_eq!(beyond, Err(OutOfBounds { ptr: 65 - half, len: half, memory_size }));
            assert!(Struct::pos(&memory, u64::MAX, width).is_err());
        }
    }
}
