//! Ranges of a guest's memory, checked.

/// A range that does not lie within the guest's memory.
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
