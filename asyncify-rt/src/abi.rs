//! Asyncify's globals and its struct. No other file knows their layout.
//!
//! Binaryen's `src/passes/Asyncify.cpp` defines both. The host writes the two globals itself:
//! that is what the `asyncify_*` functions do, less their check of the struct, which is done here
//! with more care than they can.
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

use wasmtime::{AsContextMut, Global, Val};

use crate::machine::Phase;
use crate::memory::{self, OutOfBounds};
use crate::module::PointerWidth;

/// Bytes before the first frame: `pos`, `end`, and alignment.
pub(crate) const HEADER: u64 = 16;

/// The guest's two globals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asyncify {
    state: Global,
    data: Global,
    /// Whether the module never sets the state itself.
    sealed: bool,
    pub(crate) width: PointerWidth,
}

impl Asyncify {
    pub(crate) fn new(state: Global, data: Global, sealed: bool, width: PointerWidth) -> Self {
        Self { state, data, sealed, width }
    }

    /// Writes the state global.
    pub(crate) fn set_state(&self, store: impl AsContextMut, phase: Phase) -> wasmtime::Result<()> {
        self.state.set(store, Val::I32(phase as i32))
    }

    /// Whether the state global holds what the host last wrote there. A module that never sets it
    /// is not asked.
    #[inline]
    pub(crate) fn is_in_step(&self, store: impl AsContextMut, phase: Phase) -> bool {
        self.sealed || self.state(store) == Some(phase)
    }

    /// Reads the state global: `None` if it holds no state.
    fn state(&self, store: impl AsContextMut) -> Option<Phase> {
        match self.state.get(store) {
            Val::I32(0) => Some(Phase::Normal),
            Val::I32(1) => Some(Phase::Unwinding),
            Val::I32(2) => Some(Phase::Rewinding),
            _ => None,
        }
    }

    /// Whether `global` is this state global, and not that of another instance: what is written into
    /// one stands in the other.
    pub(crate) fn has_state(&self, mut store: impl AsContextMut, global: Global) -> bool {
        /// No state.
        const MARK: i32 = 3;
        let kept = self.state.get(&mut store);
        let is_written = self.state.set(&mut store, Val::I32(MARK)).is_ok();
        let found = global.get(&mut store);
        let is_back = self.state.set(&mut store, kept).is_ok();
        is_written && is_back && matches!(found, Val::I32(MARK))
    }

    /// Whether the guest may point at another struct than the window's, where `phase` needs that: it
    /// does where it unwinds its own frames.
    #[inline]
    pub(crate) fn may_have_moved(&self, phase: Phase) -> bool {
        !self.sealed && phase != Phase::Normal
    }

    /// Points the guest at the window's struct.
    pub(crate) fn set_data(&self, store: impl AsContextMut, window: u64) -> wasmtime::Result<()> {
        self.data.set(store, address(self.width, window))
    }
}

/// An address as a value of the guest's pointer type.
#[allow(clippy::cast_possible_truncation, reason = "a memory32's addresses fit 32 bits")]
pub(crate) fn address(width: PointerWidth, address: u64) -> Val {
    match width {
        PointerWidth::Memory32 => Val::I32((address as u32).cast_signed()),
        PointerWidth::Memory64 => Val::I64(address.cast_signed()),
    }
}

/// Reads a global that holds an address.
pub(crate) fn read_address(global: Global, store: impl AsContextMut) -> Option<u64> {
    match global.get(store) {
        Val::I32(address) => Some(address.cast_unsigned().into()),
        Val::I64(address) => Some(address.cast_unsigned()),
        _ => None,
    }
}

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

    #[test]
    fn an_address_keeps_its_bits_in_a_signed_value() {
        let wide = address(PointerWidth::Memory64, u64::MAX - 7);
        assert!(matches!(wide, Val::I64(-8)));
        let narrow = address(PointerWidth::Memory32, (u32::MAX - 7).into());
        assert!(matches!(narrow, Val::I32(-8)));
    }
}
