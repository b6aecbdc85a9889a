//! What a guest keeps for each call.

use std::any::Any;
use std::sync::Arc;

use wasmtime::{Global, Val};

use super::Vm;
use crate::error::Trap;

/// What a guest keeps for each call.
pub(crate) struct PerCall<T: Send + 'static> {
    /// Globals, and what a new call finds in them.
    pub(crate) globals: Vec<(Global, Val)>,
    pub(crate) hooks: Option<Arc<dyn Hooks<T>>>,
}

/// What is kept for one call.
pub(crate) struct Saved {
    pub(crate) globals: Box<[Val]>,
    pub(crate) hooked: Option<Hooked>,
}

impl<T: Send + 'static> PerCall<T> {
    /// `None` if there is nothing to keep.
    pub(crate) fn new(
        vm: &mut Vm<'_, T>,
        globals: Vec<Global>,
        hooks: Option<Arc<dyn Hooks<T>>>,
    ) -> Option<Box<Self>> {
        if globals.is_empty() && hooks.is_none() {
            return None;
        }
        let globals = globals.into_iter().map(|global| (global, global.get(&mut vm.store)));
        Some(Box::new(Self { globals: globals.collect(), hooks }))
    }

    /// As it is now is how a new call finds it.
    pub(crate) fn begin_with_this(&mut self, vm: &mut Vm<'_, T>) {
        for (global, first) in &mut self.globals {
            *first = global.get(&mut vm.store);
        }
    }
}

/// The user's code for what stands in memory, whatever it keeps.
pub(crate) trait Hooks<T: Send + 'static>: Send + Sync {
    fn park(&self, vm: &mut Vm<'_, T>) -> Result<Hooked, Trap>;
    fn resume(&self, vm: &mut Vm<'_, T>, hooked: Hooked) -> Result<(), Trap>;
}

pub(crate) type Hooked = Box<dyn Any + Send>;
