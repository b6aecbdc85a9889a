//! How many bytes are copied out of the guest for one call of an import, or an export's result.

use crate::error::{Error, Result};
use crate::limits::Limits;

/// What was copied out of the guest since the import was called that runs now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) bytes: u64,
    /// Whether the import may wait with them.
    pub(crate) may_park: bool,
}

impl Passed {
    /// A suspending import is called: as long as it waits, its future may have what it was passed.
    pub(crate) const SUSPENDING: Self = Self { bytes: 0, may_park: true };

    /// Counts bytes that are about to be copied, if that are not too many beside those that are
    /// `parked`. A guest says any length, so this comes before the copy.
    pub(crate) fn count(&mut self, len: u32, limits: &Limits, parked: u64) -> Result<()> {
        let bytes = self.bytes.saturating_add(len.into());
        if bytes > limits.passed_bytes {
            return Err(Error::limit("bytes passed in one call", limits.passed_bytes));
        }
        let left = limits.parked_bytes.saturating_sub(parked);
        if self.may_park && bytes > left {
            return Err(Error::limit("bytes of parked calls", limits.parked_bytes));
        }
        self.bytes = bytes;
        Ok(())
    }
}
