//! A guest's memory: how wide its addresses are, and ranges of it, checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A range that does not lie within the guest's memory.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// let error = guest.with(|cx| cx.read(0xffff, 2).unwrap_err()).await?;
/// assert_eq!((error.ptr, error.len, error.memory_size), (0xffff, 2, 0x10000));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {ptr:#x} are asked for, but the memory ends at {memory_size:#x}")]
pub struct OutOfBounds {
    /// The first address.
    pub ptr: u64,
    /// The length in bytes.
    pub len: u64,
    /// The memory's size in bytes.
    pub memory_size: u64,
}

fn range(memory_size: usize, ptr: u64, len: u64) -> Result<std::ops::Range<usize>, OutOfBounds> {
    let memory_size = memory_size as u64;
    match ptr.checked_add(len) {
        // Within the memory's size, which is a `usize`.
        #[allow(clippy::cast_possible_truncation, reason = "both are at most the memory's size")]
        Some(end) if end <= memory_size => Ok(ptr as usize..end as usize),
        _ => Err(OutOfBounds { ptr, len, memory_size }),
    }
}

pub(crate) fn slice(memory: &[u8], ptr: u64, len: u64) -> Result<&[u8], OutOfBounds> {
    let range = range(memory.len(), ptr, len)?;
    memory.get(range).ok_or(OutOfBounds { ptr, len, memory_size: memory.len() as u64 })
}

pub(crate) fn slice_mut(memory: &mut [u8], ptr: u64, len: u64) -> Result<&mut [u8], OutOfBounds> {
    let memory_size = memory.len() as u64;
    let range = range(memory.len(), ptr, len)?;
    memory.get_mut(range).ok_or(OutOfBounds { ptr, len, memory_size })
}

/// Bytes in a 32-bit guest's memory.
///
/// ```text
/// as parameters   (ptr: i32, len: i32)
/// as a result     i64:  63 ........ 32 31 ......... 0
///                            len            ptr
/// ```
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// let placed = guest.with(|cx| cx.place(b"bytes")).await??;
/// assert_eq!(placed.len, 5);
/// let bytes = guest.with(|cx| cx.read(placed.ptr, placed.len).map(<[u8]>::to_vec)).await?;
/// assert_eq!(bytes.unwrap(), b"bytes");
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// The first byte's address.
    pub ptr: u32,
    /// The length in bytes.
    pub len: u32,
}

impl Slice {
    pub(crate) fn packed(self) -> u64 {
        u64::from(self.len) << 32 | u64::from(self.ptr)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the two halves are cut apart")]
    pub(crate) fn unpacked(packed: u64) -> Self {
        Self { ptr: packed as u32, len: (packed >> 32) as u32 }
    }
}

/// How wide the guest's addresses are.
///
/// ```
/// use asyncify::PointerWidth;
/// assert_eq!(PointerWidth::Memory32.bytes(), 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PointerWidth {
    /// `i32`.
    Memory32,
    /// `i64`.
    Memory64,
}

impl PointerWidth {
    /// The size of an address in bytes.
    ///
    /// ```
    /// # use asyncify::PointerWidth;
    /// assert_eq!(PointerWidth::Memory64.bytes(), 8);
    /// ```
    #[must_use]
    #[inline]
    pub fn bytes(self) -> u32 {
        match self {
            Self::Memory32 => 4,
            Self::Memory64 => 8,
        }
    }
}

impl fmt::Display for PointerWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory32 => "i32",
            Self::Memory64 => "i64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_may_end_where_the_memory_does() {
        let mut memory = [1, 2, 3, 4];
        for (ptr, len, expected) in
            [(0, 4, &[1, 2, 3, 4][..]), (3, 1, &[4]), (4, 0, &[]), (0, 0, &[])]
        {
            assert_eq!(slice(&memory, ptr, len), Ok(expected));
            assert_eq!(slice_mut(&mut memory, ptr, len).map(|slice| &*slice), Ok(expected));
        }
        assert_eq!(slice(&[], 0, 0), Ok(&[][..]));
    }

    #[test]
    fn a_range_beyond_the_memory_is_told_with_its_figures() {
        let mut memory = [0; 4];
        for (ptr, len) in [
            (0, 5),
            (4, 1),
            (5, 0),
            (u64::MAX, 0),
            (u64::MAX, 1),
            (1, u64::MAX),
            (u64::MAX, u64::MAX),
            (1 << 32, 0),
        ] {
            let error = OutOfBounds { ptr, len, memory_size: 4 };
            assert_eq!(slice(&memory, ptr, len), Err(error));
            assert_eq!(slice_mut(&mut memory, ptr, len), Err(error));
        }
    }
}
