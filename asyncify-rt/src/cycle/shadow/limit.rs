//! The limit that the guest's code compares its stack pointer with.

use wasmtime::Val;

use crate::error::{Error, Result};
use crate::parts::memory::PointerWidth;
use crate::parts::shadow::Overrun;
use crate::store::{Guard, Vm, address, read_address};

impl<T: Send + 'static> Vm<'_, T> {
    /// Sees to it that the guest's code compares with the limit of the call that runs next.
    #[inline]
    pub(super) fn set_limit(&mut self) -> Result<()> {
        if self.rt().stack.limit.is_due() { self.write_limit() } else { Ok(()) }
    }

    fn write_limit(&mut self) -> Result<()> {
        let rt = self.rt();
        let wanted = rt.stack.limit.write();
        match rt.pointer.guard() {
            Some(Guard { limit, width, .. }) => {
                limit.set(&mut self.store, address(width, wanted)).map_err(Error::engine)
            }
            None => Ok(()),
        }
    }

    /// After a trap: whether it was one of the comparisons with the limit.
    #[cold]
    pub(crate) fn overrun(&mut self) -> Option<Overrun> {
        let Guard { hit, width, .. } = self.rt().pointer.guard()?;
        let (untouched, reset) = match width {
            PointerWidth::Memory32 => (u64::from(u32::MAX), Val::I32(-1)),
            PointerWidth::Memory64 => (u64::MAX, Val::I64(-1)),
        };
        let wanted = read_address(hit, &mut self.store).filter(|wanted| *wanted != untouched)?;
        hit.set(&mut self.store, reset).ok()?;
        Some(self.rt().stack.limit.overrun(wanted, width))
    }
}
