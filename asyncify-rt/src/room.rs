//! Room in the guest's memory for what the host places there.

mod allocator;

use std::ops::Range;
use std::sync::Arc;

use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::marshal::Slice;
use crate::module::Findings;

use allocator::Functions;

/// Where the window and the shadow stacks' regions go.
///
/// Nothing is put into a guest's memory unless its exported allocator gave the place, or you named
/// it. Where there is neither, the window *borrows* the last bytes of the memory: what stands there
/// is kept on the host while the guest unwinds or rewinds, which is when nothing of its own runs,
/// and put back before anybody can look. Regions cannot be borrowed: [`StackPolicy::Copied`] is the
/// default there.
///
/// [`StackPolicy::Copied`]: crate::StackPolicy::Copied
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # futures::executor::block_on(async {
/// # let module = Module::new(&Engine::default(), r#"(module (memory 2))"#)?;
/// use asyncify::Place;
///
/// // The guest is known to leave its second page alone.
/// let place = Place::Range(0x10000..0x20000);
/// let guest = Guest::builder(&module).place(place).instantiate().await?;
///
/// // A minified module: `w` and `N` are its `malloc` and `free`.
/// let place = Place::Functions { malloc: "w".to_owned(), free: "N".to_owned() };
/// assert!(Guest::builder(&module).place(place).instantiate().await.is_err(), "not this one");
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Place {
    /// From the guest's allocator if it exports one; else the window is borrowed, and there are no
    /// regions.
    #[default]
    Auto,
    /// From the guest's allocator, by the names of its two exports. A minified module needs this.
    Functions {
        /// Allocates: `(size) -> pointer` or `(size, align) -> pointer`; 0 when there is no room.
        malloc: String,
        /// Frees: `(pointer)`, `(pointer, size)` or `(pointer, size, align)`.
        free: String,
    },
    /// From an export of the guest's that only allocates: what is placed for a call's arguments
    /// stays, and so does a window that was replaced by a larger one.
    AllocateOnly {
        /// Allocates: as of [`Functions`](Self::Functions).
        malloc: String,
    },
    /// From memory that the host adds to the guest's, as far as that can grow. Only for a guest
    /// that never takes for its own what it has not added itself: Rust's and Zig's allocators keep
    /// to that. Emscripten's heap, AssemblyScript's, and most allocators written by hand take all
    /// up to `memory.size`, and would hand out what is parked there.
    Grow,
    /// From these addresses, which the guest leaves alone. What fits is used: a window of a quarter
    /// of the range, or larger where [`Builder::window_size`](crate::Builder::window_size) says so
    /// or no regions are needed, and regions as long as there is room.
    Range(Range<u64>),
}

/// The room there is, found when the guest is linked.
#[derive(Default)]
pub(crate) struct Room {
    /// The guest's allocator: it also places arguments and answers.
    functions: Option<Arc<Functions>>,
    source: Source,
}

#[derive(Default)]
enum Source {
    Functions,
    Grow,
    Range(Range<u64>),
    /// Nothing is given.
    #[default]
    Nowhere,
}

/// What room is made for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) what: &'static str,
    pub(crate) size: u64,
    /// What is of use at all, where a place was named that has less.
    pub(crate) least: u64,
    /// Of a named range it takes no more than one of so many parts, if that is enough.
    pub(crate) parts: u64,
    /// What helps where there is no room.
    pub(crate) cure: &'static str,
}

/// Everything that is placed is aligned to 16 bytes, as a shadow stack must be.
const ALIGN: u32 = 16;

impl Room {
    pub(crate) fn new<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        place: Place,
        findings: &Findings,
    ) -> Result<Self> {
        let width = findings.pointer_width();
        let functions = match (&place, findings.allocator()) {
            (Place::Functions { malloc, free }, _) => {
                Some(Functions::named(cx, malloc, Some(free), width)?)
            }
            (Place::AllocateOnly { malloc }, _) => Some(Functions::named(cx, malloc, None, width)?),
            (_, Some(found)) => Some(Functions::found(cx, found, width)?),
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

    /// Whether nothing of the host's may stay in the guest.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.source, Source::Nowhere)
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
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

impl Wanted {
    /// Room for an argument or an answer.
    pub(crate) fn value(len: u32) -> Self {
        let (size, cure) = (len.into(), "let it free what it has used, or have more memory");
        Self { what: "a value", size, least: size, parts: 1, cure }
    }

    #[cold]
    fn no_room(self, reason: &str) -> Error {
        let Self { what, size, cure, .. } = self;
        Error::NoRoom { what, size, reason: format!("{reason}; {cure}") }
    }
}

/// The next part of a range that was named, and what is left of that.
fn within(
    range: &Range<u64>,
    memory_size: u64,
    wanted: Wanted,
) -> Result<(Range<u64>, Range<u64>)> {
    let start = range.start.checked_next_multiple_of(ALIGN.into()).unwrap_or(u64::MAX);
    let left = range.end.saturating_sub(start);
    if left >= wanted.least && range.end > memory_size {
        return Err(wanted.no_room(&format!(
            "the range that was named ends at {:#x}, and the memory at {memory_size:#x}",
            range.end
        )));
    }
    let part = (left / wanted.parts).max(wanted.least);
    let size = wanted.size.min(part);
    if size > left {
        return Err(wanted.no_room(&format!("the range that was named has {left} bytes left")));
    }
    Ok((start..start + size, start + size..range.end))
}

fn range_end(start: u64, size: u64) -> u64 {
    start.saturating_add(size)
}
