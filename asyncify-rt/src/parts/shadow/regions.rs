//! Regions: the stacks of calls that start while another is parked on the guest's own.

use std::num::NonZeroU32;
use std::ops::Range;

/// Where the bounds of the guest's own stack are not known, a region has this many bytes.
const DEFAULT_REGION: u64 = 64 << 10;
/// A region is never larger by itself.
const LARGEST_REGION: u64 = 1 << 20;
/// A region has no less.
pub(crate) const LEAST_REGION: u64 = 1 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// Names a region: its position, from 1 on, so that there is room to say that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegionId(NonZeroU32);

/// All regions of a guest.
pub(crate) struct Regions {
    /// Bytes of each that is made.
    pub(crate) size: u64,
    all: Vec<Region>,
    /// Those that no call uses.
    free: Vec<RegionId>,
}

impl Default for Regions {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Regions {
    /// Regions of as many bytes as were `wanted`, or as the guest's own stack has.
    pub(crate) fn new(wanted: Option<u64>, main: Option<&Range<u64>>) -> Self {
        let by_guest = main.map_or(DEFAULT_REGION, |main| main.end - main.start);
        let size = wanted.unwrap_or(by_guest.min(LARGEST_REGION));
        let size = size.clamp(LEAST_REGION, u64::MAX - 15).next_multiple_of(16);
        Self { size, all: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn get(&self, RegionId(position): RegionId) -> Option<Region> {
        self.all.get(position.get() as usize - 1).copied()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// One that no call uses, if there is one.
    pub(crate) fn take(&mut self) -> Option<(RegionId, Region)> {
        let taken = self.free.pop()?;
        Some((taken, self.get(taken)?))
    }

    /// Leaves a region to others.
    pub(crate) fn free(&mut self, region: RegionId) {
        self.free.push(region);
    }

    /// Cuts `room` into regions, at least one. Grown memory comes in pages, which hold several small
    /// ones.
    pub(crate) fn add(&mut self, room: &Range<u64>) {
        let size = self.size;
        let mut low = room.start.next_multiple_of(16);
        // The first is as large as the room, less its alignment; it may be the only one.
        let mut high = low.saturating_add(size).min(room.end - room.end % 16);
        while high <= room.end
            && let Ok(position) = u32::try_from(self.all.len() + 1)
            && let Some(position) = NonZeroU32::new(position)
        {
            self.all.push(Region { low, high });
            self.free.push(RegionId(position));
            (low, high) = (high, high.saturating_add(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_holds_as_many_regions_as_fit_and_they_do_not_meet() {
        for (room, count) in [(0..4096, 4), (8..4096, 3), (8..1000, 1), (16..2064, 2)] {
            let mut regions = Regions::new(Some(1024), None);
            regions.add(&room);
            assert_eq!((regions.count(), regions.in_use()), (count, 0), "{room:?}");
            let mut before = u64::MAX;
            while let Some((_, Region { low, high })) = regions.take() {
                assert!(room.start <= low && low < high && high <= room.end.min(before));
                assert_eq!((low % 16, high % 16), (0, 0));
                before = low;
            }
            assert_eq!(regions.in_use(), count);
        }
    }

    #[test]
    fn a_region_that_was_left_is_taken_again() {
        let mut regions = Regions::new(Some(1024), None);
        regions.add(&(0..2048));
        let (id, region) = regions.take().unwrap();
        regions.free(id);
        assert_eq!(regions.take(), Some((id, region)));
        assert!(regions.take().is_some());
        assert!(!regions.has_free() && regions.take().is_none());
    }

    #[test]
    fn a_region_is_as_large_as_the_guests_own_stack_within_bounds() {
        let size = |wanted, main: Option<Range<u64>>| Regions::new(wanted, main.as_ref()).size;
        assert_eq!(size(None, None), DEFAULT_REGION);
        assert_eq!(size(None, Some(0x100..0x2100)), 0x2000);
        assert_eq!(size(None, Some(0..1 << 30)), LARGEST_REGION);
        assert_eq!(size(Some(5 << 20), Some(0..4096)), 5 << 20);
        assert_eq!(size(Some(1), None), LEAST_REGION);
        assert_eq!(size(Some(u64::MAX), None), u64::MAX - 15);
    }
}
