//! The one window of a guest: where frames are unwound to, and rewound from.
//!
//! Nothing in the guest points into it between two runs, so it can be replaced by a larger one at
//! any time.

use crate::abi::{HEADER, Struct};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::memory;

/// Bytes that a first window has for frames.
pub(crate) const DEFAULT_SIZE: u64 = 64 << 10;

pub(crate) struct Window {
    /// Where it lies; `None` before the first call parks.
    base: Option<u64>,
    /// Bytes for frames.
    size: u64,
    /// Bytes behind them that are the host's too: what overflows into them damages nothing.
    slack: u64,
    /// Bytes that the next window needs.
    wanted: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { base: None, size: 0, slack: 0, wanted: DEFAULT_SIZE }
    }
}

/// What an unwinding left in the window.
pub(crate) enum Unwound {
    /// The frames' bytes.
    Frames(Vec<u8>),
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
        true
    }

    fn start(&self) -> u64 {
        self.base.unwrap_or_default().saturating_add(HEADER)
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
    /// Sees to it that there is a window for at least `needed` bytes, and as large as is wanted.
    pub(crate) fn ensure_window(&mut self, needed: u64) -> Result<()> {
        let limit = self.rt().limits.window_bytes;
        let window = &mut self.rt().window;
        let size = window.wanted.max(needed).min(limit.max(needed));
        if window.base.is_some() && window.size >= size {
            return Ok(());
        }
        let old = window.base;
        // Behind the frames lies as much again, up to a page, so that a near miss is told from
        // damage, and succeeds.
        let slack = size.min(64 << 10);
        let total = size.saturating_add(slack).saturating_add(HEADER);
        let room = match self.make_room("the window", total) {
            Ok(room) => room,
            Err(Error::NoRoom { .. }) if self.rt().window.stretch(needed) => return Ok(()),
            Err(error) => return Err(error),
        };
        let base = room.start;
        let slack = room.end.saturating_sub(base).saturating_sub(HEADER + size);
        if let Some(asyncify) = self.rt().asyncify {
            asyncify.set_data(&mut self.store, base).map_err(Error::engine)?;
        }
        let window = &mut self.rt().window;
        (window.base, window.size, window.slack) = (Some(base), size, slack);
        self.rt().stats.window_bytes = size;
        if let Some(old) = old {
            self.give_back(old);
        }
        Ok(())
    }

    /// Makes the window empty, for an unwinding.
    pub(crate) fn open_window(&mut self) -> Result<()> {
        let start = self.rt().window.start();
        self.write_struct(start)
    }

    /// Puts a call's frames back, for a rewinding.
    pub(crate) fn fill_window(&mut self, frames: &[u8]) -> Result<()> {
        self.ensure_window(frames.len() as u64)?;
        let start = self.rt().window.start();
        let len = frames.len() as u64;
        memory::slice_mut(self.memory_mut(), start, len)
            .map_err(|range| Error::out_of_step(format!("the window is gone: {range}")))?
            .copy_from_slice(frames);
        self.write_struct(start.saturating_add(len))
    }

    fn write_struct(&mut self, pos: u64) -> Result<()> {
        let rt = self.rt();
        let (base, end) = (rt.window.base, rt.window.start().saturating_add(rt.window.size));
        let (Some(base), Some(asyncify)) = (base, rt.asyncify) else {
            return Err(Error::out_of_step("there is no window".to_owned()));
        };
        Struct { pos, end }
            .write(self.memory_mut(), base, asyncify.width)
            .map_err(|range| Error::out_of_step(format!("the window is gone: {range}")))
    }

    /// Takes the frames out of the window, into `frames`.
    pub(crate) fn take_frames(&mut self, mut frames: Vec<u8>) -> Result<Unwound> {
        let pos = self.window_pos()?;
        let limit = self.rt().limits.window_bytes;
        let window = &mut self.rt().window;
        let (start, size, slack) = (window.start(), window.size, window.slack);
        let Some(len) = pos.checked_sub(start) else {
            return Ok(Unwound::Astray { pos });
        };
        if len > size {
            window.wanted = len.saturating_mul(2);
        }
        if len > limit && len <= size.saturating_add(slack) {
            return Err(Error::limit("bytes of the window", limit));
        }
        if len > size.saturating_add(slack) {
            return Ok(Unwound::Overflow { needed: len, size });
        }
        let bytes = memory::slice(self.memory(), start, len)
            .map_err(|range| Error::out_of_step(format!("the window is gone: {range}")))?;
        frames.clear();
        frames.extend_from_slice(bytes);
        let stats = &mut self.rt().stats;
        stats.most_window_bytes = stats.most_window_bytes.max(len);
        Ok(Unwound::Frames(frames))
    }

    /// Whether a rewinding has taken all frames out again.
    pub(crate) fn is_window_empty(&mut self) -> Result<bool> {
        Ok(self.window_pos()? == self.rt().window.start())
    }

    fn window_pos(&mut self) -> Result<u64> {
        let rt = self.rt();
        let (Some(base), Some(asyncify)) = (rt.window.base, rt.asyncify) else {
            return Err(Error::out_of_step("there is no window".to_owned()));
        };
        Struct::pos(self.memory(), base, asyncify.width)
            .map_err(|range| Error::out_of_step(format!("the window is gone: {range}")))
    }

    /// After a trap while unwinding: the bytes that were needed so far and the window's size, if
    /// the frames ran out of the memory at whose end the window lies. Then nothing is damaged.
    pub(crate) fn overflow_at_memory_end(&mut self) -> Option<(u64, u64)> {
        let pos = self.window_pos().ok()?;
        let memory_size = self.memory().len() as u64;
        let window = &mut self.rt().window;
        let end = window.start().checked_add(window.size)?.checked_add(window.slack)?;
        let needed = pos.checked_sub(window.start())?;
        if end != memory_size || needed <= window.size {
            return None;
        }
        window.wanted = needed.saturating_mul(2);
        Some((needed, window.size))
    }
}
