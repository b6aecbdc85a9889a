//! Regions in the guest's memory.

use crate::error::{Error, Result};
use crate::parts::shadow::{LEAST_REGION, Region, RegionId};
use crate::store::{Vm, Wanted};

impl<T: Send + 'static> Vm<'_, T> {
    pub(super) fn run_in_region(&mut self, region: Region) -> Result<()> {
        self.rt().stack.limit.run_in(Some(region.low..region.high));
        self.set_limit()
    }

    /// Leaves the region that the call ran in to others.
    pub(super) fn free_region(&mut self, region: RegionId) {
        let stack = &mut self.rt().stack;
        stack.regions.free(region);
        stack.limit.run_in(None);
    }

    pub(super) fn take_region(&mut self) -> Result<(RegionId, Region)> {
        if !self.rt().stack.regions.has_free() {
            self.make_regions()?;
        }
        let regions = &mut self.rt().stack.regions;
        let taken = regions.take().ok_or_else(|| Error::NoRoom {
            what: "a shadow stack region",
            size: regions.size,
            reason: "there are as many as can be counted; let fewer calls wait at once".to_owned(),
        })?;
        let in_use = regions.in_use();
        let stats = &mut self.rt().stats;
        stats.most_regions_in_use = stats.most_regions_in_use.max(in_use);
        Ok(taken)
    }

    fn make_regions(&mut self) -> Result<()> {
        let size = self.rt().stack.regions.size;
        let room = self.make_room(Wanted {
            what: "a shadow stack region",
            size,
            least: LEAST_REGION.min(size),
            parts: 1,
            cure: "ask for less with `Builder::region_size`, take `StackPolicy::Copied`, which needs none, or name another place with `Builder::place`",
        })?;
        let rt = self.rt();
        rt.stack.regions.add(&room);
        rt.stats.regions = rt.stack.regions.count();
        Ok(())
    }
}
