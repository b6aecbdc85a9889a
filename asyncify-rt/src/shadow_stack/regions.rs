//! Regions: the stacks of calls that start while another is parked on the guest's own.

use std::num::NonZeroU32;
use std::ops::Range;

use super::ShadowStack;
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::room::Wanted;

/// Where the bounds of the guest's own stack are not known, a region has this many bytes.
const DEFAULT_REGION: u64 = 64 << 10;
/// A region is never larger by itself.
const LARGEST_REGION: u64 = 1 << 20;
/// A region has no less.
const LEAST_REGION: u64 = 1 << 10;

/// Bytes of each region: as many as were `wanted`, or as the guest's own stack has.
pub(super) fn size(wanted: Option<u64>, main: Option<&Range<u64>>) -> u64 {
    let by_guest = main.map_or(DEFAULT_REGION, |main| main.end - main.start).min(LARGEST_REGION);
    wanted.unwrap_or(by_guest).clamp(LEAST_REGION, u64::MAX - 15).next_multiple_of(16)
}

#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// Names a region: its position, from 1 on, so that there is room to say that there is none.
#[derive(Clone, Copy)]
pub(crate) struct RegionId(NonZeroU32);

impl ShadowStack {
    pub(super) fn region(&self, RegionId(position): RegionId) -> Option<Region> {
        self.regions.get(position.get() as usize - 1).copied()
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
    pub(super) fn run_in_region(&mut self, region: Region) -> Result<()> {
        self.rt().stack.limit.run_in(Some(region.low..region.high));
        self.set_limit()
    }

    /// Leaves the region that the call ran in to others.
    pub(super) fn free_region(&mut self, region: RegionId) {
        let stack = &mut self.rt().stack;
        stack.free.push(region);
        stack.limit.run_in(None);
    }

    pub(super) fn take_region(&mut self) -> Result<(RegionId, Region)> {
        if self.rt().stack.free.is_empty() {
            self.make_regions()?;
        }
        let stack = &mut self.rt().stack;
        let taken = stack.free.pop().and_then(|index| Some((index, stack.region(index)?)));
        let taken = taken.ok_or_else(|| Error::NoRoom {
            what: "a shadow stack region",
            size: stack.region_size,
            reason: "there are as many as can be counted; let fewer calls wait at once".to_owned(),
        })?;
        let in_use = stack.regions.len() - stack.free.len();
        let stats = &mut self.rt().stats;
        stats.most_regions_in_use = stats.most_regions_in_use.max(in_use);
        Ok(taken)
    }

    /// Makes at least one region. Grown memory comes in pages, which hold several small ones.
    fn make_regions(&mut self) -> Result<()> {
        let size = self.rt().stack.region_size;
        let room = self.make_room(Wanted {
            what: "a shadow stack region",
            size,
            least: LEAST_REGION.min(size),
            parts: 1,
            cure: "ask for less with `Builder::region_size`, take `StackPolicy::Copied`, which needs none, or name another place with `Builder::place`",
        })?;
        let stack = &mut self.rt().stack;
        let mut low = room.start.next_multiple_of(16);
        // The first is as large as the room, less its alignment; it may be the only one.
        let mut high = low.saturating_add(size).min(room.end - room.end % 16);
        while high <= room.end
            && let Ok(position) = u32::try_from(stack.regions.len() + 1)
            && let Some(position) = NonZeroU32::new(position)
        {
            stack.regions.push(Region { low, high });
            stack.free.push(RegionId(position));
            (low, high) = (high, high.saturating_add(size));
        }
        let made = stack.regions.len();
        self.rt().stats.regions = made;
        Ok(())
    }
}
