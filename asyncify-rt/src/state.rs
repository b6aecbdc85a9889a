//! What a guest's store holds: the user's data, and the runtime's side of the guest.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use wasmtime::{Extern, Memory, StoreLimits, Val};

use crate::abi::Asyncify;
use crate::budget::Budget;
use crate::call_state::PerCall;
use crate::frames::Watch;
use crate::guest::Inner;
use crate::imports::Tasks;
use crate::limits::{Limits, Stats};
use crate::lock::Holder;
use crate::machine::Machine;
use crate::mail::Mailbox;
use crate::marshal::{Passed, Slice};
use crate::module::{Constants, Module};
use crate::parked::{Key, Parked};
use crate::room::Room;
use crate::shadow_stack::ShadowStack;
use crate::turns::Turns;
use crate::waker::Kept;
use crate::window::Window;

/// The data of a guest's store, `Store<State<T>>`: the user's `T`, and what the runtime keeps.
///
/// Other crates' functions are linked through it:
/// `add_to_linker(&mut linker, |state: &mut State<T>| &mut state.data)`.
///
/// ```
/// use asyncify::State;
/// use asyncify::wasmtime::{Engine, Linker};
///
/// /// As another crate offers it: functions that need a `u32` of the store's.
/// fn add_to_linker<T: 'static>(
///     linker: &mut Linker<T>,
///     get: impl Fn(&mut T) -> &mut u32 + Send + Sync + 'static,
/// ) -> Result<(), asyncify::wasmtime::Error> {
///     linker.func_wrap("counter", "next", move |mut caller: asyncify::wasmtime::Caller<'_, T>| {
///         let count = get(caller.data_mut());
///         *count += 1;
///         *count
///     })?;
///     Ok(())
/// }
///
/// let mut linker = Linker::<State<u32>>::new(&Engine::default());
/// add_to_linker(&mut linker, |state| &mut state.data)?;
/// # Ok::<(), asyncify::wasmtime::Error>(())
/// ```
pub struct State<T: Send + 'static> {
    /// The user's own data.
    pub data: T,
    pub(crate) guest: Weak<Inner<T>>,
    /// What is kept for each call, if the user wants any of it.
    pub(crate) per_call: Option<Box<PerCall<T>>>,
    pub(crate) rt: Runtime,
}

impl<T: Send + 'static> State<T> {
    /// A state for a store that a guest of `module` will be made of, with
    /// [`Guest::from_parts`](crate::Guest::from_parts) or
    /// [`Builder::from_parts`](crate::Builder::from_parts).
    ///
    /// ```
    /// # use asyncify::Module;
    /// use asyncify::State;
    /// use asyncify::wasmtime::{Engine, Store};
    ///
    /// let engine = Engine::default();
    /// # let module = Module::new(&engine, "(module)")?;
    /// let store = Store::new(&engine, State::new(&module, "my data"));
    /// assert_eq!(store.data().data, "my data");
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn new(module: &Module, data: T) -> Self {
        let mut state = Self::bare(data);
        let memory = module.findings().memory();
        state.rt.memory_export = memory.map(|memory| memory.export().into());
        state
    }

    /// A state for a store in which nothing runs.
    pub(crate) fn bare(data: T) -> Self {
        Self { data, guest: Weak::new(), per_call: None, rt: Runtime::default() }
    }
}

impl<T: Send + std::fmt::Debug + 'static> std::fmt::Debug for State<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("data", &self.data).finish_non_exhaustive()
    }
}

/// The runtime's side of one guest. Only `cycle.rs` changes where a call stands in it.
pub(crate) struct Runtime {
    /// Asyncify's globals; `None` before the guest is linked, and for a guest that has none.
    pub(crate) asyncify: Option<Asyncify>,
    pub(crate) machine: Machine,
    /// The guest's memory; `None` before the guest is linked, and for a guest that has none.
    pub(crate) memory: Option<Memory>,
    /// The memory's export, until the guest is linked.
    pub(crate) memory_export: Option<Arc<str>>,
    pub(crate) exports: Arc<HashMap<String, Extern>>,
    pub(crate) run: Run,
    pub(crate) window: Window,
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
    /// What each suspension looks for on the stack, if it does.
    pub(crate) watch: Option<Watch>,
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
            asyncify: None,
            machine: Machine::default(),
            memory: None,
            memory_export: None,
            exports: Arc::default(),
            run: Run::default(),
            window: Window::default(),
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
            watch: None,
            causes: Arc::from(""),
            trap_poisons: true,
            host_end_poisons: false,
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

/// An import whose future is ready, or that is to be answered without it.
pub(crate) struct Resuming {
    pub(crate) pending: Suspended,
    /// The answer to give instead of the future's.
    pub(crate) instead: Option<Box<[Val]>>,
}

/// An import that waits, in one allocation with its future.
pub(crate) type Suspended = Pin<Box<dyn Pending>>;

/// What waits in an import.
///
/// The import that made it takes it back by its type when the guest has been rewound into it.
pub(crate) trait Pending: Send + 'static {
    /// Polls the import's future and keeps its answer.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// Drops the future.
    fn abandon(self: Pin<&mut Self>);
    /// The import, as module and name.
    fn id(&self) -> (&str, &str);
    /// Puts itself into `place` if that is an `Option<Pin<Box<Self>>>`.
    fn give(self: Pin<Box<Self>>, place: &mut dyn Any);
    /// The import, as `module.name`.
    fn import(&self) -> String {
        let (module, name) = self.id();
        format!("{module}.{name}")
    }
}
