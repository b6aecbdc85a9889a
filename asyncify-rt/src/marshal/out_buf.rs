//! A buffer of the guest's that an import fills.

use super::Slice;
use crate::cx::GuestCx;
use crate::error::Trap;
use crate::memory;

/// A writer for a buffer that the guest offers as (pointer, capacity).
///
/// What is written is kept on the host and stored in the guest when the import answers, so that
/// a suspended import holds nothing of the guest's. Memory is taken as it is written, never for
/// the whole capacity at once.
///
/// ```
/// use std::io::Write;
/// use asyncify::OutBuf;
///
/// fn answer(out: &mut OutBuf) -> std::io::Result<u32> {
///     write!(out, "{} bytes fit", out.remaining())?;
///     Ok(out.written().len() as u32)
/// }
/// # let mut out = OutBuf::with_capacity(64);
/// # assert_eq!(answer(&mut out).unwrap(), 12);
/// ```
#[derive(Debug)]
pub struct OutBuf {
    slice: Slice,
    written: Vec<u8>,
}

impl OutBuf {
    /// A buffer of `capacity` bytes that belongs to no guest, for tests of a host function.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// assert_eq!(out.push(b"too long"), 4);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: u32) -> Self {
        Self::over(Slice { ptr: 0, len: capacity })
    }

    pub(crate) fn over(slice: Slice) -> Self {
        Self { slice, written: Vec::new() }
    }

    /// How many bytes the guest has room for.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// out.push(b"abc");
    /// assert_eq!(out.capacity(), 4);
    /// ```
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slice.len as usize
    }

    /// How many bytes can still be written.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// out.push(b"abc");
    /// assert_eq!(out.remaining(), 1);
    /// ```
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity() - self.written.len()
    }

    /// What has been written so far.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// out.push(b"abc");
    /// assert_eq!(out.written(), b"abc");
    /// ```
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Appends as much of `bytes` as fits, and returns how many bytes that were.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// assert_eq!(out.push(b"abc"), 3);
    /// assert_eq!(out.push(b"def"), 1);
    /// ```
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(self.remaining());
        self.written.extend_from_slice(&bytes[..fits]);
        fits
    }

    /// Forgets what has been written.
    ///
    /// ```
    /// # use asyncify::OutBuf;
    /// let mut out = OutBuf::with_capacity(4);
    /// out.push(b"abc");
    /// out.clear();
    /// assert_eq!(out.remaining(), 4);
    /// ```
    pub fn clear(&mut self) {
        self.written.clear();
    }

    /// Stores what was written in the guest.
    pub(crate) fn store<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>) -> Result<(), Trap> {
        if self.written.is_empty() {
            return Ok(());
        }
        let len = self.written.len() as u64;
        let place = memory::slice_mut(cx.memory_mut(), self.slice.ptr.into(), len)?;
        place.copy_from_slice(&self.written);
        Ok(())
    }
}

/// Writes until the buffer is full; then [`write`](std::io::Write::write) answers 0, and
/// `write_all` and `write!` fail with [`WriteZero`](std::io::ErrorKind::WriteZero).
impl std::io::Write for OutBuf {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.push(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
