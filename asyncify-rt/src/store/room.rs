//! Room in the guest's memory for what the host places there.

use std::ops::Range;
use std::sync::Arc;

use super::Functions;
use crate::error::{Error, Result};

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
    pub(crate) functions: Option<Arc<Functions>>,
    pub(crate) source: Source,
}

#[derive(Default)]
pub(crate) enum Source {
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
pub(crate) const ALIGN: u32 = 16;

impl Room {
    /// Whether nothing of the host's may stay in the guest.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.source, Source::Nowhere)
    }
}

impl Wanted {
    /// Room for an argument or an answer.
    pub(crate) fn value(len: u32) -> Self {
        let (size, cure) = (len.into(), "let it free what it has used, or have more memory");
        Self { what: "a value", size, least: size, parts: 1, cure }
    }

    #[cold]
    pub(crate) fn no_room(self, reason: &str) -> Error {
        let Self { what, size, cure, .. } = self;
        Error::NoRoom { what, size, reason: format!("{reason}; {cure}") }
    }
}

/// The next part of a range that was named, and what is left of that.
pub(crate) fn within(
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
