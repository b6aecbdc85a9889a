//! The global that points to the shadow stack's top, and addresses as globals hold them.

use wasmtime::{AsContextMut, Global, Val};

use super::Vm;
use crate::error::{Error, Result};
use crate::parts::memory::PointerWidth;

/// The global that points to the shadow stack's top.
#[derive(Clone, Debug, Default)]
pub(crate) enum Pointer {
    Known {
        global: Global,
        width: PointerWidth,
        /// What the code is guarded by, if it is.
        guard: Option<Guard>,
    },
    /// The module has no shadow stack.
    #[default]
    Absent,
    /// There may be one, for all that is known.
    Uncertain { reason: String, collector: Option<String> },
}

/// The globals that the guest's code is guarded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) limit: Global,
    pub(crate) hit: Global,
    pub(crate) width: PointerWidth,
}

impl Pointer {
    pub(crate) fn guard(&self) -> Option<Guard> {
        match self {
            Self::Known { guard, .. } => *guard,
            _ => None,
        }
    }

    /// Whether there may be one, and it is not known which.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. })
    }
}

impl<T: Send + 'static> Vm<'_, T> {
    pub(crate) fn stack_pointer(&mut self) -> Option<u64> {
        let Pointer::Known { global, .. } = self.rt().pointer else {
            return None;
        };
        read_address(global, &mut self.store)
    }

    pub(crate) fn set_stack_pointer(&mut self, to: u64) -> Result<()> {
        if let Pointer::Known { global, width, .. } = self.rt().pointer {
            global.set(&mut self.store, address(width, to)).map_err(Error::engine)?;
        }
        Ok(())
    }
}

/// An address as a value of the guest's pointer type.
#[allow(clippy::cast_possible_truncation, reason = "a memory32's addresses fit 32 bits")]
pub(crate) fn address(width: PointerWidth, address: u64) -> Val {
    match width {
        PointerWidth::Memory32 => Val::I32((address as u32).cast_signed()),
        PointerWidth::Memory64 => Val::I64(address.cast_signed()),
    }
}

/// Reads a global that holds an address.
pub(crate) fn read_address(global: Global, store: impl AsContextMut) -> Option<u64> {
    match global.get(store) {
        Val::I32(address) => Some(address.cast_unsigned().into()),
        Val::I64(address) => Some(address.cast_unsigned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_bits_in_a_signed_value() {
        let wide = address(PointerWidth::Memory64, u64::MAX - 7);
        assert!(matches!(wide, Val::I64(-8)));
        let narrow = address(PointerWidth::Memory32, (u32::MAX - 7).into());
        assert!(matches!(narrow, Val::I32(-8)));
    }
}
