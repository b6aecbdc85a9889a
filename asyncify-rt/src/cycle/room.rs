//! Room in the guest's memory for what the host places there: asked of the guest's allocator, of the
//! memory, or cut from what the user named.

mod allocator;

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result, Thin};
use crate::module::Findings;
use crate::parts::memory::{self, Slice};
use crate::store::{ALIGN, Functions, Place, Room, Source, Vm, Wanted, within};
use crate::suspend;

impl Room {
    pub(crate) fn new<T: Send + 'static>(
        vm: &mut Vm<'_, T>,
        place: Place,
        findings: &Findings,
    ) -> Result<Self> {
        let width = findings.pointer_width();
        let functions = match (&place, findings.allocator()) {
            (Place::Functions { malloc, free }, _) => {
                Some(Functions::named(vm, malloc, Some(free), width)?)
            }
            (Place::AllocateOnly { malloc }, _) => Some(Functions::named(vm, malloc, None, width)?),
            (_, Some(found)) => Some(Functions::found(vm, found, width)?),
            (_, None) => None,
        };
        let source = match place {
            Place::Range(range) => Source::Range(range),
            Place::Grow => Source::Grow,
            _ if functions.is_some() => Source::Functions,
            _ => Source::Nowhere,
        };
        Ok(Self { functions: functions.map(Arc::new), source })
    }
}

impl<T: Send + 'static> Vm<'_, T> {
    /// Sees to it that a suspension has the room that it needs in the guest, for so many bytes of
    /// frames.
    #[inline]
    pub(super) fn make_room_for_frames(&mut self, frames: u64) -> Thin<()> {
        match suspend::room_needed(self, frames)? {
            None => Ok(()),
            Some(wanted) => Ok(self.make_more_room_for_frames(wanted, frames)?),
        }
    }

    #[cold]
    fn make_more_room_for_frames(&mut self, wanted: Wanted, frames: u64) -> Result<()> {
        let room = match self.make_room(wanted) {
            Ok(room) => room,
            Err(Error::NoRoom { .. }) if suspend::make_do(self.rt(), frames) => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(left) = suspend::take_room(self, &room, frames)? {
            self.give_back(left);
        }
        Ok(())
    }

    /// Room for the window or a region, that nobody else uses: at least `least` bytes.
    pub(crate) fn make_room(&mut self, wanted: Wanted) -> Result<Range<u64>> {
        match &self.rt().room.source {
            Source::Nowhere => {
                let cure = "take `StackPolicy::Copied`, which needs none, or name a place with `Builder::place`";
                let why = "it exports no allocator, and no place is named for it";
                Err(Wanted { cure, ..wanted }.no_room(why))
            }
            Source::Functions => {
                let start = self.allocate(wanted)?;
                Ok(start..range_end(start, wanted.size))
            }
            Source::Range(range) => {
                let range = range.clone();
                let (room, left) = within(&range, self.memory().len() as u64, wanted)?;
                self.rt().room.source = Source::Range(left);
                Ok(room)
            }
            Source::Grow => self.grow_for(wanted),
        }
    }

    fn grow_for(&mut self, wanted: Wanted) -> Result<Range<u64>> {
        let memory = self.rt().memory.ok_or(Error::NoMemory)?;
        let page = memory.page_size(&self.store);
        // A page may be a single byte.
        let end = memory.data_size(&self.store) as u64;
        let start = end.next_multiple_of(ALIGN.into());
        let pages = |size: u64| (start - end).saturating_add(size).div_ceil(page);
        let (mut pages, least) = (pages(wanted.size), pages(wanted.least));
        if let Some(maximum) = memory.ty(&self.store).maximum() {
            pages = pages.min(maximum.saturating_sub(end / page)).max(least);
        }
        loop {
            match memory.grow(&mut self.store, pages) {
                Ok(_) => return Ok(start..end + pages * page),
                Err(_) if pages > least => pages = (pages / 2).max(least),
                Err(error) => {
                    return Err(wanted.no_room(&format!("the memory cannot grow: {error}")));
                }
            }
        }
    }

    /// Gives back what [`make_room`](Self::make_room) made, where it can be given back.
    pub(crate) fn give_back(&mut self, room: Range<u64>) {
        if matches!(self.rt().room.source, Source::Functions) {
            // What cannot be freed stays behind in the guest's own memory.
            let _ = self.release(room.start, room.end - room.start);
        }
    }

    /// Memory from the guest's allocator.
    pub(crate) fn allocate(&mut self, wanted: Wanted) -> Result<u64> {
        let size = wanted.size;
        let no_room = |reason: &str| wanted.no_room(reason);
        let Some(functions) = self.rt().room.functions.clone() else {
            let cure = "export one, or name it with `Builder::place`";
            return Err(Wanted { cure, ..wanted }.no_room("it exports no allocator"));
        };
        let address = functions.allocate(self, wanted)?;
        if address == 0 {
            return Err(no_room("its allocator has none"));
        }
        match range_end(address, size) {
            end if end <= self.memory().len() as u64 => Ok(address),
            _ => Err(no_room("its allocator answered an address outside the memory")),
        }
    }

    /// Gives memory back to the guest's allocator, which was asked for so many bytes.
    pub(crate) fn release(&mut self, address: u64, size: u64) -> Result<()> {
        match self.rt().room.functions.clone() {
            Some(functions) => functions.release(self, address, size),
            None => Ok(()),
        }
    }

    /// Copies bytes into memory of the guest's allocator.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> Result<Slice> {
        let no_room = |reason: &str| Error::NoRoom {
            what: "a value",
            size: bytes.len() as u64,
            reason: reason.to_owned(),
        };
        let too_large = |_| no_room("it is too large for a 32-bit guest; pass it in parts");
        let len = u32::try_from(bytes.len()).map_err(too_large)?;
        if len == 0 {
            return Ok(Slice { ptr: 0, len });
        }
        let address = self.allocate(Wanted::value(len))?;
        let Ok(ptr) = u32::try_from(address) else {
            self.release(address, len.into())?;
            return Err(no_room(
                "its allocator answered an address above 4 GiB; give a guest that takes text a 32-bit memory",
            ));
        };
        if let Some(placed) = &mut self.rt().run.placed {
            placed.push(Slice { ptr, len });
        }
        let place = memory::slice_mut(self.memory_mut(), ptr.into(), len.into());
        let outside = |_| {
            no_room(
                "its allocator answered an address outside the memory; see to the guest's allocator",
            )
        };
        place.map_err(outside)?.copy_from_slice(bytes);
        Ok(Slice { ptr, len })
    }

    /// Gives back what [`place`](Self::place) made.
    pub(crate) fn free(&mut self, placed: Slice) -> Result<()> {
        self.release(placed.ptr.into(), placed.len.into())
    }

    /// Frees what was placed for a call's arguments. A poisoned guest runs nothing any more.
    pub(crate) fn free_all(&mut self, placed: &[Slice]) {
        if !placed.is_empty() {
            self.begin_budget();
        }
        for &placed in placed {
            if self.rt().poison.is_some() {
                return;
            }
            // A trap in there has poisoned the guest, which the next call is told.
            let _ = self.free(placed);
        }
    }
}

fn range_end(start: u64, size: u64) -> u64 {
    start.saturating_add(size)
}
