//! A trap while frames are written: whether they ran out of the memory.

use crate::cx::GuestCx;
use crate::error::Error;

impl<T: Send + 'static> GuestCx<'_, T> {
    /// After an access beyond the memory while unwinding: what that means, if it was one of frames
    /// that ran out of the memory at whose end the window lies. Then nothing is damaged.
    #[cold]
    pub(crate) fn overflow_at_memory_end(&mut self) -> Option<Error> {
        if self.rt().window.loan.is_some() {
            return self.overflow_of_borrowed();
        }
        let (memory, rt) = self.memory_and_runtime();
        let (window, memory_size) = (&mut rt.window, memory.len() as u64);
        let pos = window.pos(memory).ok()?;
        let end = window.start().checked_add(window.size)?.checked_add(window.slack)?;
        let needed = pos.checked_sub(window.start())?;
        if end != memory_size || needed <= window.size {
            return None;
        }
        window.wanted = needed.saturating_mul(2);
        let (function, size) = (String::new(), window.size);
        Some(Error::WindowTooSmall { function, needed, size, poisoned: false })
    }
}
