//! The shadow stack's moves: a call gets its place, parks its part, comes back to it, leaves it.

mod limit;
mod regions;

use crate::error::{Result, Thin};
use crate::parts::shadow::{Frame, ShadowPart};
use crate::store::Vm;

impl<T: Send + 'static> Vm<'_, T> {
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
        Ok(self.enter_region(base)?)
    }

    /// A region for a call that starts while another is parked on the guest's own stack.
    fn enter_region(&mut self, base: u64) -> Result<Frame> {
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
                if let Some(region) = self.rt().stack.regions.get(region) {
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
    pub(crate) fn leave_stack(&mut self, frame: Frame, resumed: bool) -> Thin<()> {
        if let Some(region) = frame.region {
            self.free_region(region);
        } else if !resumed || !self.rt().stack.low {
            return Ok(());
        }
        Ok(self.set_stack_pointer(frame.base)?)
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
                self.rt().stack.regions.free(region);
                Ok(())
            }
            ShadowPart::None | ShadowPart::Copied { .. } => Ok(()),
        }
    }
}
