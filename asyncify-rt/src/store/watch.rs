//! What each suspension looks for on the stack.

use crate::module::Module;

/// Each suspension of this guest looks at the stack.
pub(crate) struct Watch {
    pub(crate) module: Module,
    /// Whether a stack that is deeper than can be seen is an error.
    pub(crate) whole: bool,
    /// Whether another instance of this module calls the import: its frames look like the guest's.
    pub(crate) by_another: bool,
}
