//! The guest's shadow stack (`__stack_pointer`) while calls are parked.
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

use std::ops::Range;

use wasmtime::Global;

use crate::abi::{self, address};
use crate::cx::GuestCx;
use crate::error::{Error, Result, Thin};
use crate::memory::{self, OutOfBounds};
use crate::module::PointerWidth;
use above::Above;
use limit::Limit;
pub(crate) use limit::{Guard, Overrun};
pub use policy::StackPolicy;
use regions::{Region, RegionId};

/// The global that points to the shadow stack's top.
#[derive(Clone, Debug, Default)]
pub(crate) enum Pointer {
    Known {
        global: Global,
        width: PointerWidth,
        /// What the code is guarded by, if it is.
        guard: Option<Guard>,
    },
    /// The module has no shadow stack.
    #[default]
    Absent,
    /// There may be one, for all that is known.
    Uncertain { reason: String, collector: Option<String> },
}

pub(crate) struct ShadowStack {
    pointer: Pointer,
    policy: StackPolicy,
    region_size: u64,
    /// Whether a call is parked on the guest's own stack.
    main_occupied: bool,
    regions: Vec<Region>,
    /// The regions that no call uses.
    free: Vec<RegionId>,
    /// The calls that are parked where they are, one above the other.
    above: Above,
    limit: Limit,
    /// Whether a call that was resumed may return with the pointer too low: a trampoline answered
    /// for a failure, and a rewinding enters it where the innermost frame had the pointer.
    low: bool,
}

/// A running call's place on the shadow stack.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Where the stack pointer goes back to when the call ends.
    base: u64,
    region: Option<RegionId>,
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

impl Default for ShadowStack {
    fn default() -> Self {
        Self {
            pointer: Pointer::default(),
            policy: StackPolicy::default(),
            region_size: regions::size(None, None),
            main_occupied: false,
            regions: Vec::new(),
            free: Vec::new(),
            above: Above::default(),
            limit: Limit::default(),
            low: false,
        }
    }
}

impl ShadowStack {
    pub(crate) fn new(
        pointer: Pointer,
        policy: StackPolicy,
        region_size: Option<u64>,
        main: Option<Range<u64>>,
    ) -> Self {
        let region_size = regions::size(region_size, main.as_ref());
        let guard = match &pointer {
            Pointer::Known { guard, .. } => *guard,
            _ => None,
        };
        let limit = Limit::new(guard, main);
        Self { pointer, policy, region_size, limit, ..Self::default() }
    }

    /// Why the pointer is not known, if there may be one.
    pub(crate) fn uncertain(&self) -> Option<&str> {
        match &self.pointer {
            Pointer::Uncertain { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Why a second call cannot park, if it cannot, and by what the guest seems to have a
    /// collector. Where calls take turns nothing is moved, so that the pointer need not be known.
    pub(crate) fn refuses_second(&self) -> Option<(&str, Option<&str>)> {
        match &self.pointer {
            Pointer::Uncertain { reason, collector } if self.policy != StackPolicy::Exclusive => {
                Some((reason, collector.as_deref()))
            }
            _ => None,
        }
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
    fn take_above(&mut self, call: u64) -> Option<u64> {
        let base = self.above.take(call);
        // That one may return with the pointer where it found it.
        self.low |= base.is_none();
        base
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
    pub(crate) fn stack_pointer(&mut self) -> Option<u64> {
        let Pointer::Known { global, .. } = self.rt().stack.pointer else {
            return None;
        };
        abi::read_address(global, &mut self.store)
    }

    fn set_stack_pointer(&mut self, to: u64) -> Result<()> {
        if let Pointer::Known { global, width, .. } = self.rt().stack.pointer {
            global.set(&mut self.store, address(width, to)).map_err(Error::engine)?;
        }
        Ok(())
    }

    /// A place for a call that starts.
    #[inline]
    pub(crate) fn enter_stack(&mut self, may_suspend: bool) -> Thin<Frame> {
        let Some(base) = self.stack_pointer() else {
            return Ok(Frame { base: 0, region: None });
        };
        if !may_suspend || !self.rt().stack.main_occupied {
            // A call within another runs on the same stack.
            self.set_limit()?;
            return Ok(Frame { base, region: None });
        }
        let (id, region) = self.take_region()?;
        self.run_in_region(region)?;
        self.set_stack_pointer(region.high)?;
        Ok(Frame { base, region: Some(id) })
    }

    /// Says that a call whose part was put back runs now, and where the pointer must be for it.
    #[inline]
    pub(crate) fn resume_stack(&mut self, part: ShadowPart) -> Result<Frame> {
        let (frame, pointer) = match part {
            ShadowPart::None => return Ok(Frame { base: 0, region: None }),
            ShadowPart::Main { pointer, base } => {
                self.rt().stack.main_occupied = false;
                (Frame { base, region: None }, pointer)
            }
            ShadowPart::Above { pointer, call } => {
                let base = self.rt().stack.take_above(call).unwrap_or(pointer);
                (Frame { base, region: None }, pointer)
            }
            ShadowPart::Region { region, pointer } => {
                let base = self.stack_pointer().unwrap_or_default();
                if let Some(region) = self.rt().stack.region(region) {
                    self.run_in_region(region)?;
                }
                (Frame { base, region: Some(region) }, pointer)
            }
            ShadowPart::Copied { pointer, len } => {
                let base = pointer.saturating_add(len as u64);
                (Frame { base, region: None }, pointer)
            }
        };
        self.set_limit()?;
        self.set_stack_pointer(pointer)?;
        Ok(frame)
    }

    /// Leaves the stack to others, now that the call's part is parked.
    #[inline]
    pub(crate) fn vacate_stack(&mut self, frame: Frame, part: ShadowPart) -> Result<()> {
        match part {
            ShadowPart::None | ShadowPart::Above { .. } => Ok(()),
            ShadowPart::Main { .. } => {
                self.rt().stack.main_occupied = true;
                Ok(())
            }
            ShadowPart::Region { .. } => {
                self.rt().stack.limit.run_in(None);
                self.set_stack_pointer(frame.base)
            }
            ShadowPart::Copied { .. } => self.set_stack_pointer(frame.base),
        }
    }

    /// Ends a call that ran to its end.
    #[inline]
    pub(crate) fn leave_stack(&mut self, frame: Frame, resumed: bool) -> Result<()> {
        let Some(region) = frame.region else {
            return if resumed && self.rt().stack.low {
                self.set_stack_pointer(frame.base)
            } else {
                Ok(())
            };
        };
        self.free_region(region);
        self.set_stack_pointer(frame.base)
    }

    /// Ends a call whose frames are gone: no epilogue has run.
    pub(crate) fn abandon_stack(&mut self, frame: Frame, resumed: bool) -> Result<()> {
        self.rt().stack.low |= resumed;
        if let Some(region) = frame.region {
            self.free_region(region);
        }
        self.set_stack_pointer(frame.base)
    }

    /// Ends a parked call that will not be resumed.
    pub(crate) fn drop_stack(&mut self, part: ShadowPart) -> Result<()> {
        match part {
            ShadowPart::Main { base, .. } => {
                self.rt().stack.main_occupied = false;
                self.set_stack_pointer(base)
            }
            ShadowPart::Above { call, .. } => {
                let base = self.rt().stack.take_above(call);
                match (base, self.stack_pointer()) {
                    (Some(base), Some(pointer)) if pointer < base => self.set_stack_pointer(base),
                    _ => Ok(()),
                }
            }
            ShadowPart::Region { region, .. } => {
                self.rt().stack.free.push(region);
                Ok(())
            }
            ShadowPart::None | ShadowPart::Copied { .. } => Ok(()),
        }
    }
}
