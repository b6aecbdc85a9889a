//! A buffer of the guest's that an import fills.

use super::{Errno, GuestError, Slice};
use crate::cx::GuestCx;
use crate::error::Trap;
use crate::parts::memory;

/// A writer for a buffer that the guest offers as (pointer, capacity).
///
/// What is written is kept on the host and stored in the guest when the import answers, so that
/// a suspended import holds nothing of the guest's. Memory is taken as it is written, never for
/// the whole capacity at once.
///
/// [`put`](Self::put) is for an answer that is whole or none: where it does not fit, the guest is told
/// the size that it needs. [`push`](Self::push) takes what fits, for a stream whose rest follows.
///
/// ```
/// use asyncify::{Errno, OutBuf};
///
/// fn fetch(page: &str, out: &mut OutBuf) -> Result<u32, Errno> {
///     Ok(out.put(page)?)
/// }
/// # let mut out = OutBuf::with_capacity(4);
/// assert_eq!(fetch("page", &mut out), Ok(4));
///
/// # let mut out = OutBuf::with_capacity(4);
/// let told = fetch("a longer page", &mut out).unwrap_err();
/// assert_eq!(told.needed(), Some(13));
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

    /// Appends all of `bytes`, and returns how many bytes have been written in all.
    ///
    /// # Errors
    /// [`TooSmall`] if they do not fit; then none of them is written. As an [`Errno`](crate::Errno), or
    /// as the error of the import itself, it tells the guest the size that it needs: the code is
    /// `INT32_MIN` and that size above it.
    ///
    /// ```
    /// # use asyncify::{OutBuf, TooSmall};
    /// let mut out = OutBuf::with_capacity(8);
    /// assert_eq!(out.put("head: "), Ok(6));
    /// assert_eq!(out.put(b"body"), Err(TooSmall { needed: 10, capacity: 8 }));
    /// assert_eq!(out.written(), b"head: ");
    /// assert_eq!(out.put([b'o', b'k']), Ok(8));
    /// ```
    pub fn put(&mut self, bytes: impl AsRef<[u8]>) -> Result<u32, TooSmall> {
        let bytes = bytes.as_ref();
        let needed = self.written.len().saturating_add(bytes.len());
        match u32::try_from(needed) {
            Ok(written) if written <= self.slice.len => {
                self.written.extend_from_slice(bytes);
                Ok(written)
            }
            _ => Err(TooSmall { needed, capacity: self.capacity() }),
        }
    }

    /// Appends as much of `bytes` as fits, and returns how many bytes that were. The rest is cut off:
    /// keep it for the next call, or use [`put`](Self::put).
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

/// What was to be written does not fit the guest's buffer.
///
/// ```
/// use asyncify::TooSmall;
/// let error = TooSmall { needed: 600, capacity: 512 };
/// assert_eq!(error.to_string(), "the guest's buffer has 512 bytes, and 600 are needed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest's buffer has {capacity} bytes, and {needed} are needed")]
pub struct TooSmall {
    /// The bytes that a large enough buffer has.
    pub needed: usize,
    /// The bytes that this one has.
    pub capacity: usize,
}

#[diagnostic::do_not_recommend]
impl GuestError for TooSmall {
    /// `INT32_MIN` and the size that is needed above it: as [`Errno`]'s.
    fn code(&self) -> i32 {
        Errno::from(*self).code()
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
