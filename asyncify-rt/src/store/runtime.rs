//! The runtime's side of one guest, and of the call that runs in it.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::{Extern, Memory, StoreLimits};

use super::{Pointer, Resuming, Room, Suspended, Suspension, Tasks};
use crate::error::Result;
use crate::limits::{Budget, Limits, Stats};
use crate::module::Constants;
use crate::parts::lock::Holder;
use crate::parts::machine::Machine;
use crate::parts::mail::Mailbox;
use crate::parts::memory::Slice;
use crate::parts::parked::{Key, Parked};
use crate::parts::passed::Passed;
use crate::parts::shadow::{ShadowStack, StackPolicy};
use crate::parts::turns::Turns;
use crate::parts::waker::Kept;

/// The runtime's side of one guest. Only `cycle/` and what it uses change where a call stands in it.
pub(crate) struct Runtime {
    pub(crate) suspension: Suspension,
    pub(crate) machine: Machine,
    /// The guest's memory; `None` before the guest is linked, and for a guest that has none.
    pub(crate) memory: Option<Memory>,
    /// The memory's export, until the guest is linked.
    pub(crate) memory_export: Option<Arc<str>>,
    pub(crate) exports: Arc<HashMap<String, Extern>>,
    pub(crate) run: Run,
    /// The global that points to the shadow stack's top.
    pub(crate) pointer: Pointer,
    pub(crate) stack: ShadowStack,
    pub(crate) parked: Parked,
    pub(crate) room: Room,
    /// Where the guest's allocator gives no memory.
    pub(crate) constants: Constants,
    /// A task for each typed import, kept so that a call of it allocates nothing.
    pub(crate) tasks: Tasks,
    /// What the guest was poisoned by.
    pub(crate) poison: Option<Arc<String>>,
    pub(crate) limits: Limits,
    pub(crate) stats: Stats,
    pub(crate) store_limits: StoreLimits,
    pub(crate) holder: Arc<Holder>,
    /// What calls leave for the lock's next holder.
    pub(crate) mail: Arc<Mailbox>,
    /// Whose turn it is, where calls take turns whole.
    pub(crate) turns: Option<Arc<Turns>>,
    /// What each run of wasm may use up, if the user has set any of it.
    pub(crate) budget: Option<Budget>,
    /// What may be the matter where guest and host disagree.
    pub(crate) causes: Arc<str>,
    /// Whether a guest's trap poisons it.
    pub(crate) trap_poisons: bool,
    /// Whether a call that the host ended, by an error or by dropping it, poisons the guest.
    pub(crate) host_end_poisons: bool,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            suspension: Suspension::default(),
            machine: Machine::default(),
            memory: None,
            memory_export: None,
            exports: Arc::default(),
            run: Run::default(),
            pointer: Pointer::default(),
            stack: ShadowStack::default(),
            parked: Parked::default(),
            room: Room::default(),
            constants: Constants::default(),
            tasks: Tasks::default(),
            poison: None,
            limits: Limits::default(),
            stats: Stats::default(),
            store_limits: StoreLimits::default(),
            holder: Arc::default(),
            mail: Arc::default(),
            turns: None,
            budget: None,
            causes: Arc::from(""),
            trap_poisons: true,
            host_end_poisons: false,
        }
    }
}

impl Runtime {
    /// Counts bytes that are about to be copied out of the guest, if that are not too many.
    #[inline]
    pub(crate) fn pass(&mut self, len: u32) -> Result<()> {
        self.run.passed.count(len, &self.limits, self.stats.parked_bytes)
    }

    /// Why a second call cannot park, if it cannot, and by what the guest seems to have a
    /// collector. Where calls take turns nothing is moved, so that the pointer need not be known.
    pub(crate) fn refuses_second(&self) -> Option<(&str, Option<&str>)> {
        match &self.pointer {
            Pointer::Uncertain { reason, collector }
                if self.stack.policy != StackPolicy::Exclusive =>
            {
                Some((reason, collector.as_deref()))
            }
            _ => None,
        }
    }
}

/// The call that runs now.
#[derive(Default)]
pub(crate) struct Run {
    /// The waker of the task that polls the call.
    pub(crate) waker: Kept,
    /// While unwinding: the import that suspended.
    pub(crate) suspended: Option<Suspended>,
    /// While rewinding: the import to answer, and how.
    pub(crate) resuming: Option<Resuming>,
    /// Imports that are answered no more. They are dropped when the guest is unlocked: what their
    /// futures hold may use the guest, or panic.
    pub(crate) ended: Vec<Suspended>,
    /// The call's record, if it has parked before.
    pub(crate) key: Option<Key>,
    /// What the import that runs was passed copies of.
    pub(crate) passed: Passed,
    /// What was placed in the guest for the call's arguments; `None` while nothing is recorded.
    pub(crate) placed: Option<Vec<Slice>>,
}
