//! The one window of a guest: where frames are unwound to, and rewound from.
//!
//! Nothing in the guest points into it between two runs, so it can be replaced by a larger one at
//! any time. It lies in memory that the guest's allocator gave or that the user named; where there
//! is neither, it is [borrowed]. Here it is a range of a memory's bytes; who runs the guest meanwhile
//! is not known here.

mod borrowed;
mod layout;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::memory::{self, OutOfBounds, PointerWidth};
use crate::error::{Error, Thin};
use borrowed::Loan;
pub(crate) use layout::HEADER;
use layout::Struct;

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

    /// The size that it should have for `needed` bytes of frames, within its limit.
    #[inline]
    pub(crate) fn wanted(&self, needed: u64, limit: u64) -> u64 {
        self.wanted.max(needed).min(limit.max(needed))
    }

    /// Whether it is there, and at least as large.
    #[inline]
    pub(crate) fn has(&self, size: u64) -> bool {
        self.base.is_some() && self.size >= size
    }

    /// What to ask for, for a window of `size` bytes for frames, with slack behind them: as much
    /// again, up to a page, so that a near miss is told from damage, and succeeds. Beside it stand
    /// the least that is of use for `needed` bytes, and of how many parts of a named range it takes
    /// no more than one.
    pub(crate) fn room_for(&self, size: u64, needed: u64) -> (u64, u64, u64) {
        let all = size.saturating_add(slack(size)).saturating_add(HEADER);
        (all, needed.max(LEAST).saturating_add(HEADER), self.parts)
    }

    /// Moves it to `room`, for `size` bytes of frames: where it was.
    pub(crate) fn move_to(
        &mut self,
        room: &Range<u64>,
        size: u64,
        needed: u64,
    ) -> Option<Range<u64>> {
        let old = self.room();
        // Where there is less, as much of it is slack: what a call needs counts, not where it ends.
        let all = room.end.saturating_sub(room.start).saturating_sub(HEADER);
        let is_less = all < size.saturating_add(slack(size));
        let size = if is_less { (all / 2).max(needed) } else { size };
        (self.base, self.size, self.slack) = (Some(room.start), size, all.saturating_sub(size));
        // Otherwise each suspension would ask for more again.
        self.wanted = self.wanted.min(size);
        self.close();
        old
    }

    /// Makes do with what there is, for want of more room: whether that is enough.
    pub(crate) fn stretch(&mut self, needed: u64) -> bool {
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

    /// Where its struct is, if it is anywhere.
    pub(crate) fn base(&self) -> Option<u64> {
        self.base
    }

    /// Bytes for frames.
    pub(crate) fn size(&self) -> u64 {
        self.size
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

    /// Makes it empty, for an unwinding.
    pub(crate) fn open(&mut self, memory: &mut [u8]) -> Thin<()> {
        if std::mem::take(&mut self.is_open) { Ok(()) } else { self.unwind_into(memory, &[]) }
    }

    /// Whether a rewinding has taken all frames out again.
    #[inline]
    pub(crate) fn is_empty(&mut self, memory: &mut [u8]) -> Thin<bool> {
        let is_empty = self.pos(memory)? == self.start();
        self.is_open = is_empty && self.loan.is_none();
        self.give_back_all(memory);
        Ok(is_empty)
    }

    /// After an access beyond the memory while unwinding: what that means, if it was one of frames
    /// that ran out of the memory at whose end the window lies. Then nothing is damaged.
    #[cold]
    pub(crate) fn overflow(&mut self, memory: &[u8], limit: u64) -> Option<Error> {
        if self.is_borrowed() {
            return self.overflow_of_borrowed(memory, limit);
        }
        let pos = self.pos(memory).ok()?;
        let end = self.start().checked_add(self.size)?.checked_add(self.slack)?;
        let needed = pos.checked_sub(self.start())?;
        if end != memory.len() as u64 || needed <= self.size {
            return None;
        }
        self.wanted = needed.saturating_mul(2);
        let (function, size) = (String::new(), self.size);
        Some(Error::WindowTooSmall { function, needed, size, poisoned: false })
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

/// Bytes behind `size` bytes for frames that are the host's too.
fn slack(size: u64) -> u64 {
    size.min(64 << 10)
}
