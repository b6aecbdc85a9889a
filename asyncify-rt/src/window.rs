//! The one window of a guest: where frames are unwound to, and rewound from.
//!
//! Nothing in the guest points into it between two runs, so it can be replaced by a larger one at
//! any time. It lies in memory that the guest's allocator gave or that the user named; where there
//! is neither, it is [borrowed].

mod borrowed;
mod overflow;

use std::ops::Range;

use crate::abi::{HEADER, Struct};
use crate::cx::GuestCx;
use crate::error::{Error, Result, Thin};
use crate::memory::{self, OutOfBounds};
use crate::module::PointerWidth;
use crate::room::Wanted;

use borrowed::Loan;

/// Bytes that a first window has for frames.
const DEFAULT_SIZE: u64 = 64 << 10;

/// No window has less.
const LEAST: u64 = 64;

pub(crate) struct Window {
    /// Where it lies; `None` before the first call parks.
    base: Option<u64>,
    /// How wide the guest's addresses are.
    width: PointerWidth,
    /// Bytes for frames.
    size: u64,
    /// Bytes behind them that are the host's too: what overflows into them damages nothing.
    slack: u64,
    /// Bytes that the next window needs.
    wanted: u64,
    /// Of a named range it takes no more than one of so many parts.
    parts: u64,
    /// Whether its struct says that it is empty, as a rewinding has just been seen to leave it.
    /// A borrowed one never is.
    is_open: bool,
    /// If the guest lends its place.
    loan: Option<Loan>,
}

impl Default for Window {
    fn default() -> Self {
        let width = PointerWidth::Memory32;
        let wanted = DEFAULT_SIZE;
        Self { base: None, width, size: 0, slack: 0, wanted, parts: 1, is_open: false, loan: None }
    }
}

/// What an unwinding left in the window.
pub(crate) enum Unwound {
    /// Frames.
    Frames,
    /// Nothing.
    Nothing,
    /// More than there is room for.
    Overflow { needed: u64, size: u64 },
    /// `pos` points where no unwinding leaves it.
    Astray { pos: u64 },
}

impl Window {
    /// A window for a guest whose addresses are as wide. It is borrowed, or has a place of its own.
    pub(crate) fn new(width: PointerWidth, borrowed: bool) -> Self {
        if borrowed { Self::borrowed(width) } else { Self { width, ..Self::default() } }
    }

    /// Asks for `size` bytes from the first window on.
    pub(crate) fn want(&mut self, size: u64) {
        (self.wanted, self.parts) = (size.max(LEAST), 1);
    }

    /// Leaves most of a named range to regions, if they may be needed.
    pub(crate) fn share(&mut self, with_regions: bool) {
        self.parts = if with_regions { 4 } else { 1 };
    }

    /// Makes do with what there is, for want of more room: whether that is enough.
    fn stretch(&mut self, needed: u64) -> bool {
        let size = self.size.max(needed);
        let all = self.size.saturating_add(self.slack);
        if self.base.is_none() || size > all {
            return false;
        }
        (self.size, self.slack, self.wanted) = (size, all - size, size);
        self.close();
        true
    }

    /// All of what was made for it.
    fn room(&self) -> Option<Range<u64>> {
        let base = self.base?;
        Some(base..base.saturating_add(HEADER).saturating_add(self.size).saturating_add(self.slack))
    }

    /// Forgets what was seen of it: a call begins, and the memory may be another.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.is_open = false;
    }

    fn start(&self) -> u64 {
        self.base.unwrap_or_default().saturating_add(HEADER)
    }

    /// Where the guest's `pos` points.
    fn pos(&self, memory: &[u8]) -> Thin<u64> {
        Ok(Struct::pos(memory, self.base.ok_or_else(no_window)?, self.width).map_err(gone)?)
    }

    /// Puts a call's frames back, for a rewinding. There is room for them.
    pub(crate) fn fill(&mut self, memory: &mut [u8], frames: &[u8]) -> Thin<()> {
        self.close();
        self.lend(memory, frames.len() as u64)?;
        self.put(memory, frames)
    }

    /// Takes the frames out, into `frames`, and leaves room for `more` bytes there.
    pub(crate) fn take(
        &mut self,
        memory: &mut [u8],
        limit: u64,
        frames: &mut Vec<u8>,
        more: usize,
    ) -> Thin<Unwound> {
        let (start, size) = (self.start(), self.size);
        let all = size.saturating_add(self.slack);
        let pos = self.pos(memory)?;
        let Some(len) = pos.checked_sub(start) else {
            return Ok(Unwound::Astray { pos });
        };
        if len > limit && len <= all {
            return Err(Error::limit("bytes of the window", limit).into());
        }
        if len > size {
            self.wanted = len.saturating_mul(2);
        }
        if len > all {
            return Ok(Unwound::Overflow { needed: len, size });
        }
        let unwound = memory::slice(memory, start, len).map_err(gone)?;
        frames.clear();
        frames.reserve_exact(unwound.len() + more);
        frames.extend_from_slice(unwound);
        self.give_back(memory, len);
        Ok(if len == 0 { Unwound::Nothing } else { Unwound::Frames })
    }

    /// Writes the struct, and the frames that it says are there.
    fn put(&self, memory: &mut [u8], frames: &[u8]) -> Thin<()> {
        let (base, start) = (self.base.ok_or_else(no_window)?, self.start());
        let len = frames.len() as u64;
        let (pos, end) = (start.saturating_add(len), start.saturating_add(self.size));
        Struct { pos, end }.write(memory, base, self.width).map_err(gone)?;
        memory::slice_mut(memory, start, len).map_err(gone)?.copy_from_slice(frames);
        Ok(())
    }
}

#[cold]
fn no_window() -> Error {
    Error::out_of_step("there is no window".to_owned())
}

#[cold]
fn gone(range: OutOfBounds) -> Error {
    Error::out_of_step(format!("the window is gone: {range}"))
}

impl<T: Send + 'static> GuestCx<'_, T> {
    /// Sees to it that there is a window for at least `needed` bytes, and as large as is wanted.
    #[inline]
    pub(crate) fn ensure_window(&mut self, needed: u64) -> Thin<()> {
        let limit = self.rt().limits.window_bytes;
        let window = &self.rt().window;
        let size = window.wanted.max(needed).min(limit.max(needed));
        if window.loan.is_some() {
            return self.borrow_window(size, needed);
        }
        if window.base.is_some() && window.size >= size {
            return Ok(());
        }
        self.replace_window(size, needed)
    }

    #[cold]
    fn replace_window(&mut self, size: u64, needed: u64) -> Thin<()> {
        let old = self.rt().window.room();
        // Behind the frames lies as much again, up to a page, so that a near miss is told from
        // damage, and succeeds.
        let slack = size.min(64 << 10);
        let total = size.saturating_add(slack).saturating_add(HEADER);
        let window = &self.rt().window;
        let wanted = Wanted {
            what: "the window",
            size: total,
            least: needed.max(LEAST).saturating_add(HEADER),
            parts: window.parts,
            cure: "ask for less with `Builder::window_size`, or name another place with `Builder::place`",
        };
        let room = match self.make_room(wanted) {
            Ok(room) => room,
            Err(Error::NoRoom { .. }) if self.rt().window.stretch(needed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let base = room.start;
        // Where there is less, as much of it is slack: what a call needs counts, not where it ends.
        let all = room.end.saturating_sub(base).saturating_sub(HEADER);
        let size = if all < size.saturating_add(slack) { (all / 2).max(needed) } else { size };
        let slack = all.saturating_sub(size);
        if let Some(asyncify) = self.rt().asyncify {
            asyncify.set_data(&mut self.store, base).map_err(Error::engine)?;
        }
        let window = &mut self.rt().window;
        (window.base, window.size, window.slack) = (Some(base), size, slack);
        // Otherwise each suspension would ask for more again.
        window.wanted = window.wanted.min(size);
        window.close();
        self.rt().stats.window_bytes = size;
        if let Some(old) = old {
            self.give_back(old);
        }
        Ok(())
    }

    /// Points the guest at the window again.
    #[cold]
    pub(crate) fn aim_window(&mut self) -> Result<()> {
        let rt = self.rt();
        match (rt.asyncify, rt.window.base) {
            (Some(asyncify), Some(base)) => {
                asyncify.set_data(&mut self.store, base).map_err(Error::engine)
            }
            _ => Ok(()),
        }
    }

    /// Makes the window empty, for an unwinding.
    pub(crate) fn open_window(&mut self) -> Thin<()> {
        if std::mem::take(&mut self.rt().window.is_open) {
            return Ok(());
        }
        let (memory, rt) = self.memory_and_runtime();
        rt.window.unwind_into(memory, &[])
    }

    /// Whether a rewinding has taken all frames out again.
    #[inline]
    pub(crate) fn is_window_empty(&mut self) -> Thin<bool> {
        let (memory, rt) = self.memory_and_runtime();
        let is_empty = rt.window.pos(memory)? == rt.window.start();
        rt.window.is_open = is_empty && rt.window.loan.is_none();
        rt.window.give_back_all(memory);
        Ok(is_empty)
    }
}
