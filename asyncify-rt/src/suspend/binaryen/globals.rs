//! Asyncify's two globals: what the host reads and writes of them.
//!
//! Binaryen's `src/passes/Asyncify.cpp` defines them. The host writes them itself: that is what the
//! `asyncify_*` functions do, less their check of the struct, which is done here with more care than
//! they can.

use wasmtime::{AsContextMut, Global, Val};

use crate::parts::machine::Phase;
use crate::store::{Asyncify, address};

impl Asyncify {
    /// Writes the state global.
    pub(crate) fn set_state(&self, store: impl AsContextMut, phase: Phase) -> wasmtime::Result<()> {
        self.state.set(store, Val::I32(phase as i32))
    }

    /// Whether the state global holds what the host last wrote there. A module that never sets it
    /// is not asked.
    #[inline]
    pub(crate) fn is_in_step(&self, store: impl AsContextMut, phase: Phase) -> bool {
        self.sealed || self.state(store) == Some(phase)
    }

    /// Reads the state global: `None` if it holds no state.
    fn state(&self, store: impl AsContextMut) -> Option<Phase> {
        match self.state.get(store) {
            Val::I32(0) => Some(Phase::Normal),
            Val::I32(1) => Some(Phase::Unwinding),
            Val::I32(2) => Some(Phase::Rewinding),
            _ => None,
        }
    }

    /// Whether `global` is this state global, and not that of another instance: what is written into
    /// one stands in the other.
    pub(crate) fn has_state(&self, mut store: impl AsContextMut, global: Global) -> bool {
        /// No state.
        const MARK: i32 = 3;
        let kept = self.state.get(&mut store);
        let is_written = self.state.set(&mut store, Val::I32(MARK)).is_ok();
        let found = global.get(&mut store);
        let is_back = self.state.set(&mut store, kept).is_ok();
        is_written && is_back && matches!(found, Val::I32(MARK))
    }

    /// Whether the guest may point at another struct than the window's, where `phase` needs that: it
    /// does where it unwinds its own frames.
    #[inline]
    pub(crate) fn may_have_moved(&self, phase: Phase) -> bool {
        !self.sealed && phase != Phase::Normal
    }

    /// Points the guest at the window's struct.
    pub(crate) fn set_data(&self, store: impl AsContextMut, window: u64) -> wasmtime::Result<()> {
        self.data.set(store, address(self.width, window))
    }
}
