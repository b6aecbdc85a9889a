//! A guest's shadow stack (`__stack_pointer`) while calls are parked: where each call's part is.
//!
//! An unwinding runs no epilogue, so the stack pointer stays where the innermost frame had it, and
//! a rewinding runs no prologue, so it must be put back there.
//!
//! ```text
//! separate   main stack   | guest's data | <- parked frames | <- plain calls |
//!            region       | <- one call                                     |
//! copied     main stack   | <- the running call; a parked one's bytes are on the host |
//! exclusive  main stack   | <- a parked call | <- the call that its import makes |
//! ```

mod above;
mod limit;
mod policy;
mod regions;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::memory::{self, OutOfBounds};
use crate::error::{Error, Thin};
use above::Above;
pub(crate) use limit::{Limit, Overrun};
pub use policy::StackPolicy;
pub(crate) use regions::{LEAST_REGION, Region, RegionId, Regions};

/// Where the calls' parts are. The stack pointer itself is the engine's.
#[derive(Default)]
pub(crate) struct ShadowStack {
    pub(crate) policy: StackPolicy,
    /// Whether a call is parked on the guest's own stack.
    pub(crate) main_occupied: bool,
    pub(crate) regions: Regions,
    /// The calls that are parked where they are, one above the other.
    above: Above,
    pub(crate) limit: Limit,
    /// Whether a call that was resumed may return with the pointer too low: a trampoline answered
    /// for a failure, and a rewinding enters it where the innermost frame had the pointer.
    pub(crate) low: bool,
}

/// A running call's place on the shadow stack.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Where the stack pointer goes back to when the call ends.
    pub(crate) base: u64,
    pub(crate) region: Option<RegionId>,
}

/// A parked call's part of the shadow stack.
#[derive(Clone, Copy)]
pub(crate) enum ShadowPart {
    /// The guest has none, or its pointer is left alone.
    None,
    /// On the guest's own stack, down to `pointer`.
    Main { pointer: u64, base: u64 },
    /// On the guest's own stack, above all that were parked before it, down to `pointer`.
    Above { pointer: u64, call: u64 },
    /// In a region, down to `pointer`.
    Region { region: RegionId, pointer: u64 },
    /// On the host, behind the call's frames: `len` bytes, those from `pointer` on.
    Copied { pointer: u64, len: usize },
}

#[cold]
fn astray(range: OutOfBounds) -> Error {
    Error::out_of_step(format!("the shadow stack: {range}"))
}

impl ShadowPart {
    /// Puts back what was copied, into the guest's memory.
    #[inline]
    pub(crate) fn fill(self, memory: &mut [u8], copied: &[u8]) -> Thin<()> {
        if let Self::Copied { pointer, len } = self {
            let place = memory::slice_mut(memory, pointer, len as u64).map_err(astray)?;
            place.copy_from_slice(copied);
        }
        Ok(())
    }

    /// Bytes of it that lie behind the call's frames, on the host.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Self::Copied { len, .. } => *len,
            _ => 0,
        }
    }
}

impl ShadowStack {
    /// For a guest whose own stack is `main`, as far as that is known. Whether its code compares
    /// with the limit is `guarded`.
    pub(crate) fn new(
        policy: StackPolicy,
        region_size: Option<u64>,
        main: Option<Range<u64>>,
        guarded: bool,
    ) -> Self {
        let regions = Regions::new(region_size, main.as_ref());
        Self { policy, regions, limit: Limit::new(guarded, main), ..Self::default() }
    }

    /// Bytes that [`park`](Self::park) will copy, so that there is room for them at once. None if
    /// it will refuse to.
    #[inline]
    pub(crate) fn to_copy(&self, frame: Frame, pointer: Option<u64>, limit: u64) -> usize {
        let copies = self.policy == StackPolicy::Copied && frame.region.is_none();
        let len = pointer.filter(|_| copies).and_then(|pointer| frame.base.checked_sub(pointer));
        let len = len.filter(|len| *len <= limit);
        len.and_then(|len| usize::try_from(len).ok()).unwrap_or_default()
    }

    /// Parks a call's part, from `pointer` on; `None` if more than `room` bytes were to be copied.
    /// Those go behind the call's `frames`, so that both are one allocation.
    #[inline]
    pub(crate) fn park(
        &mut self,
        memory: &[u8],
        frame: Frame,
        pointer: Option<u64>,
        room: u64,
        frames: &mut Vec<u8>,
    ) -> Thin<Option<ShadowPart>> {
        let Some(pointer) = pointer else {
            return Ok(Some(ShadowPart::None));
        };
        if let Some(region) = frame.region {
            return Ok(Some(ShadowPart::Region { region, pointer }));
        }
        match self.policy {
            StackPolicy::Separate => {
                return Ok(Some(ShadowPart::Main { pointer, base: frame.base }));
            }
            StackPolicy::Exclusive => {
                let call = self.above.park(frame.base);
                return Ok(Some(ShadowPart::Above { pointer, call }));
            }
            StackPolicy::Copied => {}
        }
        let len = frame.base.checked_sub(pointer).ok_or_else(|| {
            Error::out_of_step(format!(
                "the stack pointer is {pointer:#x}, above {:#x}, where the call began",
                frame.base
            ))
        })?;
        if len > room {
            return Ok(None);
        }
        let bytes = memory::slice(memory, pointer, len).map_err(astray)?;
        frames.extend_from_slice(bytes);
        Ok(Some(ShadowPart::Copied { pointer, len: bytes.len() }))
    }

    /// Takes out a call that was parked above others: where the pointer goes back to when it ends.
    /// `None` if others are parked above it, which then goes to the one next to it.
    pub(crate) fn take_above(&mut self, call: u64) -> Option<u64> {
        let base = self.above.take(call);
        // That one may return with the pointer where it found it.
        self.low |= base.is_none();
        base
    }
}
