//! The data of a guest's store.

use std::sync::Weak;

use super::{Inner, PerCall, Runtime};
use crate::module::Module;

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
