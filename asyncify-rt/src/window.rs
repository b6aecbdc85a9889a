//! The one window of a guest: where frames are unwound to, and rewound from.
//!
//! Nothing in the guest points into it between two runs, so it can be replaced by a larger one at
//! any time.

use crate::abi::{HEADER, Struct};
use crate::cx::GuestCx;
use crate::error::{Error, Result, Thin};
use crate::memory::{self, OutOfBounds};
use crate::module::PointerWidth;

/// Bytes that a first window has for frames.
pub(crate) const DEFAULT_SIZE: u64 = 64 << 10;

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
    /// Whether its struct says that it is empty, as a rewinding has just been seen to leave it.
    is_open: bool,
}

impl Default for Window {
    fn default() -> Self {
        let width = PointerWidth::Memory32;
        Self { base: None, width, size: 0, slack: 0, wanted: DEFAULT_SIZE, is_open: false }
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
    /// Asks for `size` bytes from the first window on.
    pub(crate) fn want(&mut self, size: u64) {
        self.wanted = size.max(64);
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
        self.put(memory, frames)
    }

    /// Takes the frames out, into `frames`, and leaves room for `more` bytes there.
    pub(crate) fn take(
        &mut self,
        memory: &[u8],
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
    pub(crate) fn ensure_window(&mut self, needed: u64) -> Thin<()> {
        let limit = self.rt().limits.window_bytes;
        let window = &self.rt().window;
        let size = window.wanted.max(needed).min(limit.max(needed));
        if window.base.is_some() && window.size >= size {
            return Ok(());
        }
        self.replace_window(size, needed)
    }

    #[cold]
    fn replace_window(&mut self, size: u64, needed: u64) -> Thin<()> {
        let old = self.rt().window.base;
        // Behind the frames lies as much again, up to a page, so that a near miss is told from
        // damage, and succeeds.
        let slack = size.min(64 << 10);
        let total = size.saturating_add(slack).saturating_add(HEADER);
        let room = match self.make_room("the window", total) {
            Ok(room) => room,
            Err(Error::NoRoom { .. }) if self.rt().window.stretch(needed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let base = room.start;
        let slack = room.end.saturating_sub(base).saturating_sub(HEADER + size);
        if let Some(asyncify) = self.rt().asyncify {
            asyncify.set_data(&mut self.store, base).map_err(Error::engine)?;
            self.rt().window.width = asyncify.width;
        }
        let window = &mut self.rt().window;
        (window.base, window.size, window.slack) = (Some(base), size, slack);
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
        rt.window.put(memory, &[])
    }

    /// Whether a rewinding has taken all frames out again.
    pub(crate) fn is_window_empty(&mut self) -> Thin<bool> {
        let (memory, rt) = self.memory_and_runtime();
        let is_empty = rt.window.pos(memory)? == rt.window.start();
        rt.window.is_open = is_empty;
        Ok(is_empty)
    }

    /// After a trap while unwinding: the bytes that were needed so far and the window's size, if
    /// the frames ran out of the memory at whose end the window lies. Then nothing is damaged.
    pub(crate) fn overflow_at_memory_end(&mut self) -> Option<(u64, u64)> {
        let (memory, rt) = self.memory_and_runtime();
        let (window, memory_size) = (&mut rt.window, memory.len() as u64);
        let pos = window.pos(memory).ok()?;
        let end = window.start().checked_add(window.size)?.checked_add(window.slack)?;
        let needed = pos.checked_sub(window.start())?;
        if end != memory_size || needed <= window.size {
            return None;
        }
        window.wanted = needed.saturating_mul(2);
        Some((needed, window.size))
    }
}
