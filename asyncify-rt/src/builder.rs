//! Making a guest: linking, instantiating, and the functions that run first.

use std::sync::Arc;

use wasmtime::{Instance, Linker, Store, StoreLimits};

use crate::deadline;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::imports::{AsyncImports, Imports};
use crate::limits::Limits;
use crate::link;
use crate::module::Module;
use crate::room::Place;
use crate::shadow_stack::StackPolicy;
use crate::state::State;

/// Makes a [`Guest`]: its data, its imports, and where things stand in it.
///
/// ```
/// # use asyncify::{Guest, Module};
/// # use asyncify::wasmtime::Engine;
/// # futures::executor::block_on(async {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func (export "three") (result i32) i32.const 3))"#)?;
/// let guest = Guest::builder(&module).instantiate().await?;
/// let three = guest.all_exports().typed::<(), (i32,)>("three")?;
/// assert_eq!(three.call(()).await?, (3,));
/// # Ok::<(), asyncify::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a builder makes nothing before `instantiate`"]
pub struct Builder<T: Send + 'static> {
    module: Module,
    data: T,
    imports: AsyncImports<T>,
    linker: Linker<State<T>>,
    link_with_store: Vec<LinkWithStore<T>>,
    /// The first mistake, told by `instantiate`.
    mistake: Option<Error>,
    trap_unknown: bool,
    trust_instrumentation: bool,
    settings: Settings,
}

type LinkWithStore<T> = Box<
    dyn FnOnce(&mut Linker<State<T>>, &mut Store<State<T>>) -> Result<(), crate::BoxError> + Send,
>;

/// What concerns the guest once it is linked.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) policy: StackPolicy,
    pub(crate) region_size: Option<u64>,
    pub(crate) window_size: Option<u64>,
    pub(crate) stack_pointer: Option<StackPointerSetting>,
    pub(crate) initialize: Option<Vec<String>>,
    pub(crate) limits: Limits,
    pub(crate) store_limits: Option<StoreLimits>,
    pub(crate) deadline: Option<u64>,
    pub(crate) trap_clears: bool,
    pub(crate) host_end_poisons: bool,
}

pub(crate) enum StackPointerSetting {
    Global(String),
    None,
}

impl<T: Send + 'static> Builder<T> {
    pub(crate) fn new(module: &Module, data: T) -> Self {
        Self {
            module: module.clone(),
            data,
            imports: AsyncImports::new(),
            linker: Linker::new(module.wasmtime().engine()),
            link_with_store: Vec::new(),
            mistake: None,
            trap_unknown: false,
            trust_instrumentation: false,
            settings: Settings::default(),
        }
    }

    /// Offers the guest the imports of an annotated host.
    pub fn imports<H: Imports>(self, host: H) -> Self {
        self.shared_imports(Arc::new(host))
    }

    /// As [`imports`](Self::imports), for a host that others use too.
    pub fn shared_imports<H: Imports>(mut self, host: Arc<H>) -> Self {
        self.imports.host(host);
        self
    }

    /// Offers the guest imports that are defined by hand.
    pub fn async_imports(mut self, imports: AsyncImports<T>) -> Self {
        self.imports.append(imports);
        self
    }

    /// Links what else the guest needs, with wasmtime's own linker: WASI, say.
    ///
    /// Such functions do not suspend, and must not call the guest in a way that suspends.
    pub fn link<E>(
        mut self,
        link: impl FnOnce(&mut Linker<State<T>>) -> std::result::Result<(), E>,
    ) -> Self
    where
        E: Into<crate::BoxError>,
    {
        if let Err(error) = link(&mut self.linker) {
            self.mistake.get_or_insert(Error::Instantiate { source: error.into() });
        }
        self
    }

    /// As [`link`](Self::link), with the guest's store at hand: to define a memory or a global
    /// that the guest imports, say. It runs within [`instantiate`](Self::instantiate). An imported
    /// memory that nobody defines is made to the limits that the module declares.
    pub fn link_with_store(
        mut self,
        link: impl FnOnce(&mut Linker<State<T>>, &mut Store<State<T>>) -> Result<(), crate::BoxError>
        + Send
        + 'static,
    ) -> Self {
        self.link_with_store.push(Box::new(link));
        self
    }

    /// Lets imports that nobody defines trap when they are called, instead of refusing the module.
    pub fn trap_unknown_imports(mut self) -> Self {
        self.trap_unknown = true;
        self
    }

    /// Accepts a module in which a function calls a suspending import without having been
    /// instrumented for it: you know that it never waits there.
    pub fn trust_instrumentation(mut self) -> Self {
        self.trust_instrumentation = true;
        self
    }

    /// Where the window and the shadow stacks' regions go; [`Place::Auto`] by default.
    pub fn place(mut self, place: Place) -> Self {
        self.settings.place = place;
        self
    }

    /// How parked calls keep their part of the guest's stack; [`StackPolicy::Separate`] by default.
    pub fn stack_policy(mut self, policy: StackPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Bytes of each shadow stack region. By default as many as the guest's own stack has, where
    /// that can be told, but 1 MiB at most; else 64 KiB.
    pub fn region_size(mut self, bytes: u64) -> Self {
        self.settings.region_size = Some(bytes);
        self
    }

    /// Bytes of the first window; 64 KiB by default. It grows when a call needed more, up to
    /// [`Limits::window_bytes`].
    pub fn window_size(mut self, bytes: u64) -> Self {
        self.settings.window_size = Some(bytes);
        self
    }

    /// Names the global that is the shadow stack pointer, by its export's name, its own name or
    /// its index, where [`Findings::stack_pointer`](crate::Findings::stack_pointer) could not tell for certain.
    pub fn stack_pointer(mut self, global: impl Into<String>) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::Global(global.into()));
        self
    }

    /// Says that the guest has no shadow stack.
    pub fn no_stack_pointer(mut self) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::None);
        self
    }

    /// The exports to call first, in order, instead of `_initialize` or `__wasm_call_ctors`. They
    /// take and return nothing, and may suspend.
    pub fn initialize<N: Into<String>>(mut self, exports: impl IntoIterator<Item = N>) -> Self {
        self.settings.initialize = Some(exports.into_iter().map(N::into).collect());
        self
    }

    /// How much the guest's calls may hold.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How large the guest's memories and tables may grow.
    pub fn store_limits(mut self, limits: StoreLimits) -> Self {
        self.settings.store_limits = Some(limits);
        self
    }

    /// How many epoch ticks each run of wasm has before it ends with [`Error::Deadline`]. Somebody
    /// must tick: [`Ticker`](crate::Ticker) does, or your own calls of
    /// [`Engine::increment_epoch`](wasmtime::Engine::increment_epoch).
    pub fn epoch_deadline(mut self, ticks: u64) -> Self {
        self.settings.deadline = Some(ticks.min(deadline::NEVER));
        self
    }

    /// Leaves the guest open for other calls when one traps. By default a trap poisons it.
    pub fn trap_keeps_guest(mut self) -> Self {
        self.settings.trap_clears = true;
        self
    }

    /// Poisons the guest also when the host ends a call, by an error or by dropping it.
    pub fn host_end_poisons(mut self) -> Self {
        self.settings.host_end_poisons = true;
        self
    }

    /// Links the module and runs the functions that come first.
    ///
    /// # Errors
    /// [`Error::Imports`] lists every import that is missing or differs;
    /// [`Error::NotInstrumented`] and [`Error::UninstrumentedCaller`] tell a module that cannot
    /// suspend where the host does; others as they say.
    pub async fn instantiate(self) -> Result<Guest<T>> {
        let module = self.module.clone();
        let initialize = self.settings.initialize.clone();
        let guest = self.link_guest()?;
        let initialize = initialize.unwrap_or_else(|| {
            module.findings().initializer().map(str::to_owned).into_iter().collect()
        });
        for export in initialize {
            guest.all_exports().typed::<(), ()>(&export)?.call(()).await?;
        }
        Ok(guest)
    }

    fn link_guest(self) -> Result<Guest<T>> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let (module, mut linker) = (self.module, self.linker);
        self.imports.add_to_linker(&mut linker)?;
        link::check_instrumentation(&module, &self.imports, self.trust_instrumentation)?;
        let mut store = Store::new(module.wasmtime().engine(), State::new(self.data));
        if let Some(limits) = self.settings.store_limits.clone() {
            store.data_mut().rt.store_limits = limits;
        }
        let memory = module.findings().memory();
        store.data_mut().rt.memory_export = memory.map(|memory| memory.export().into());
        store.limiter(|state| &mut state.rt.store_limits);
        let deadline = self.settings.deadline;
        if deadline.is_some() {
            deadline::check_engine(module.wasmtime().engine())?;
        }
        // Without a deadline too: an engine that counts epochs would end the guest at once.
        store.set_epoch_deadline(deadline.unwrap_or(deadline::NEVER));
        for link in self.link_with_store {
            link(&mut linker, &mut store).map_err(|source| Error::Instantiate { source })?;
        }
        link::define_memory(&module, &mut linker, &mut store)?;
        if self.trap_unknown {
            linker
                .define_unknown_imports_as_traps(module.wasmtime())
                .map_err(link::instantiation)?;
        }
        link::check_imports(&module, &linker, &mut store)?;
        let instance = linker.instantiate(&mut store, module.wasmtime());
        let instance = instance.map_err(|error| match (error.downcast::<Error>(), deadline) {
            (Ok(error), _) => error,
            (Err(error), Some(ticks)) if deadline::is_deadline(&error) => {
                Error::Deadline { function: "the start function".to_owned(), ticks }
            }
            (Err(error), _) => link::instantiation(error),
        })?;
        link::assemble(&module, store, instance, self.settings)
    }
}

impl<T: Send + 'static> Guest<T> {
    /// Makes a guest of an instance of `module` that you linked yourself, with
    /// [`AsyncImports::add_to_linker`] among others. Its initializer is yours to call.
    ///
    /// # Errors
    /// [`Error::Config`] if `instance` is not one of [`Module::wasmtime`].
    pub fn from_parts(module: &Module, store: Store<State<T>>, instance: Instance) -> Result<Self> {
        if !wasmtime::Module::same(instance.module(&store), module.wasmtime()) {
            return Err(Error::Config(
                "the instance is one of another module; instantiate what `Module::wasmtime` gives"
                    .to_owned(),
            ));
        }
        link::assemble(module, store, instance, Settings::default())
    }
}

impl<T: Send + 'static> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("imports", &self.imports).finish_non_exhaustive()
    }
}
