//! What a guest is suspended by. Only `suspend/` looks into it.

use wasmtime::Global;

use super::Watch;
use crate::parts::memory::PointerWidth;
use crate::parts::window::Window;

/// The data of the protocol that the guest is suspended by: Binaryen's.
#[derive(Default)]
pub(crate) struct Suspension {
    /// `None` before the guest is linked, and for a guest that is not instrumented.
    pub(crate) asyncify: Option<Asyncify>,
    pub(crate) window: Window,
    /// What each suspension looks for on the stack, if it does.
    pub(crate) watch: Option<Watch>,
}

/// Asyncify's two globals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asyncify {
    pub(crate) state: Global,
    pub(crate) data: Global,
    /// Whether the module never sets the state itself.
    pub(crate) sealed: bool,
    pub(crate) width: PointerWidth,
}
