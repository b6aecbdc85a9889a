//! A window in memory that the guest lends: its last bytes, while it unwinds or rewinds.
//!
//! Nothing of the guest's own runs meanwhile, and what stood there is put back before anything of
//! the host's does. So no byte of the guest's is ever another than the guest left it, whoever looks.
//!
//! ```text
//! running      | ... the guest's memory ...                        mmmmmmmmmmmmmmmmmm | end
//! unwinding    | ...                              | pos, end | frames -->   ======== | end
//! rewinding    | ...                              | pos, end | <-- frames | mmmmmmmmm | end
//! ```
//!
//! `m` is what stands there; the rest of it is on the host. What does not fit traps at the end of
//! the memory, before it could do damage. `=` is a mark, by which such a trap is told from others.

use super::{HEADER, Window, gone, no_window};
use crate::error::{Error, Thin};
use crate::parts::machine::Phase;
use crate::parts::memory::{self, PointerWidth};

/// No value that frames hold is larger: one that does not fit was preceded by others up to here.
const MARK: [u8; 16] = *b"\xa5unwinds to here";

/// The memory32 whose end is no address: frames that ended exactly there would go on at address 0.
const WHOLE_MEMORY32: u64 = 1 << 32;

/// What a guest lends the place for its window from, as it was and as it is to be.
#[derive(Default)]
pub(super) struct Loan {
    /// What stands where the window is, from its base on; one buffer for all times.
    kept: Vec<u8>,
    /// Whether the window is in the guest, and `kept` is the guest's.
    is_lent: bool,
    /// The frames that are on their way, while the body of a trampoline runs.
    aside: Vec<u8>,
    is_aside: bool,
}

impl Window {
    pub(super) fn borrowed(width: PointerWidth) -> Self {
        Self { width, loan: Some(Loan::default()), ..Self::default() }
    }

    /// Whether the guest lends its place.
    #[inline]
    pub(crate) fn is_borrowed(&self) -> bool {
        self.loan.is_some()
    }

    /// Whether it stands on the guest's own bytes just now.
    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        self.loan.as_ref().is_some_and(|loan| loan.is_lent)
    }

    /// Saves what stands where the header and `len` bytes of frames will.
    #[inline]
    pub(super) fn lend(&mut self, memory: &[u8], len: u64) -> Thin<()> {
        let Some(loan) = &mut self.loan else {
            return Ok(());
        };
        let base = self.base.ok_or_else(no_window)?;
        let place = memory::slice(memory, base, HEADER.saturating_add(len)).map_err(gone)?;
        loan.kept.clear();
        loan.kept.extend_from_slice(place);
        loan.is_lent = true;
        Ok(())
    }

    /// Makes the window ready for an unwinding that goes on behind these frames.
    #[inline]
    pub(super) fn unwind_into(&mut self, memory: &mut [u8], frames: &[u8]) -> Thin<()> {
        self.lend(memory, self.size)?;
        self.put(memory, frames)?;
        if self.loan.is_some() {
            let (end, room) = (memory.len() as u64, self.size.saturating_sub(frames.len() as u64));
            if let Some(last) = last(end, room) {
                memory::slice_mut(memory, last, MARK.len() as u64)
                    .map_err(gone)?
                    .copy_from_slice(&MARK);
            }
        }
        Ok(())
    }

    /// Puts back what `len` bytes of frames have stood on, and the mark.
    #[inline]
    pub(super) fn give_back(&mut self, memory: &mut [u8], len: u64) {
        if self.is_lent() {
            self.give_back_lent(memory, HEADER.saturating_add(len));
        }
    }

    /// Puts back all that was lent.
    #[inline]
    pub(crate) fn give_back_all(&mut self, memory: &mut [u8]) {
        self.give_back(memory, u64::MAX);
    }

    fn give_back_lent(&mut self, memory: &mut [u8], written: u64) {
        let (Some(loan), Some(base)) = (&mut self.loan, self.base) else {
            return;
        };
        loan.is_lent = false;
        let kept = loan.kept.as_slice();
        // A memory does not shrink, so the place is there.
        let Ok(place) = memory::slice_mut(memory, base, kept.len() as u64) else {
            return;
        };
        let written = usize::try_from(written).unwrap_or(usize::MAX).min(kept.len());
        let marked = kept.len().saturating_sub(MARK.len()).max(written);
        for range in [0..written, marked..kept.len()] {
            if let (Some(place), Some(kept)) = (place.get_mut(range.clone()), kept.get(range)) {
                place.copy_from_slice(kept);
            }
        }
    }

    /// Takes the frames that are on their way out of the guest, and puts back what stood there.
    pub(crate) fn set_aside(&mut self, memory: &mut [u8]) -> Thin<()> {
        if !self.is_lent() {
            return Ok(());
        }
        let (start, pos) = (self.start(), self.pos(memory)?);
        let frames = pos.checked_sub(start).filter(|len| *len <= self.size);
        let len = frames.ok_or_else(|| {
            Error::out_of_step(format!("the frames end at {pos:#x}, outside the window"))
        })?;
        if let Some(loan) = &mut self.loan {
            let frames = memory::slice(memory, start, len).map_err(gone)?;
            loan.aside.clear();
            loan.aside.extend_from_slice(frames);
            loan.is_aside = true;
        }
        self.give_back(memory, len);
        Ok(())
    }

    /// Puts the frames back that were set aside.
    pub(crate) fn bring_back(&mut self, memory: &mut [u8], phase: Phase) -> Thin<()> {
        let Some(loan) = &mut self.loan else {
            return Ok(());
        };
        loan.is_aside = false;
        let frames = std::mem::take(&mut loan.aside);
        let put = match phase {
            Phase::Unwinding => self.unwind_into(memory, &frames),
            _ => self.fill(memory, &frames),
        };
        if let Some(loan) = &mut self.loan {
            loan.aside = frames;
        }
        put
    }

    /// Bytes of frames that are aside, if any were set aside.
    #[inline]
    pub(crate) fn aside(&self) -> Option<u64> {
        let loan = self.loan.as_ref().filter(|loan| loan.is_aside)?;
        Some(loan.aside.len() as u64)
    }

    /// Forgets what was set aside: whether anything is lent yet, which is to be given back.
    pub(crate) fn forget_aside(&mut self) -> bool {
        let Some(loan) = &mut self.loan else {
            return false;
        };
        loan.is_aside = false;
        loan.is_lent
    }

    /// Puts it at the end of the memory, which may have grown, with at least `needed` bytes; with
    /// `size`, if the memory has them. Where its struct is now, if that is another place.
    pub(crate) fn borrow(&mut self, end: u64, size: u64, needed: u64) -> Thin<Option<u64>> {
        // Frames are made of 4 bytes and multiples: none ends where the memory does then.
        let is_whole = self.width == PointerWidth::Memory32 && end == WHOLE_MEMORY32;
        let odd = if is_whole { 2 } else { 0 };
        let room = end.checked_sub(HEADER + odd).filter(|room| *room >= needed.max(1));
        let room = room.ok_or_else(|| no_room(end, needed.max(1)))?;
        let base = (room.saturating_sub(size) & !15) + odd;
        self.size = end - base - HEADER;
        let before = self.base.replace(base);
        Ok(Some(base).filter(|_| before != Some(base)))
    }

    /// After an access beyond the memory while unwinding: what that means, if it was one of frames
    /// that did not fit.
    pub(super) fn overflow_of_borrowed(&mut self, memory: &[u8], limit: u64) -> Option<Error> {
        if !self.is_lent() || !self.is_full(memory) {
            return None;
        }
        let (size, end) = (self.size, memory.len() as u64);
        if size >= limit {
            return Some(Error::limit("bytes of the window", limit));
        }
        // What is left below the window's base is less than its alignment.
        if self.base.is_none_or(|base| base < 16) {
            return Some(no_room(end, size.saturating_add(1)));
        }
        self.wanted = size.saturating_mul(2);
        let (function, needed) = (String::new(), size.saturating_add(1));
        Some(Error::WindowTooSmall { function, needed, size, poisoned: false })
    }

    /// Whether an access beyond the memory's end was one of frames that did not fit.
    fn is_full(&self, memory: &[u8]) -> bool {
        let end = memory.len() as u64;
        let Ok(pos) = self.pos(memory) else {
            return false;
        };
        let room = end.checked_sub(pos).filter(|room| *room <= self.size);
        let Some(room) = room else {
            return false;
        };
        last(end, room).is_none_or(|last| {
            memory::slice(memory, last, MARK.len() as u64).is_ok_and(|last| last != MARK)
        })
    }
}

/// Where the mark stands, if there is room for it.
fn last(end: u64, room: u64) -> Option<u64> {
    let len = MARK.len() as u64;
    end.checked_sub(len).filter(|_| room >= len)
}

#[cold]
fn no_room(memory_size: u64, size: u64) -> Error {
    Error::NoRoom {
        what: "the window",
        size,
        reason: format!(
            "its memory has {memory_size} bytes, and the window needs {HEADER} more than its frames; give the guest a larger memory"
        ),
    }
}
