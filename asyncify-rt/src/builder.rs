//! Making a guest: what it is made of.

mod instantiate;

use std::sync::Arc;

use wasmtime::{Linker, Store, StoreLimits};

use crate::deadline;
use crate::error::{Error, Result};
use crate::imports::{AsyncImports, Imports};
use crate::limits::Limits;
use crate::module::Module;
use crate::room::Place;
use crate::shadow_stack::StackPolicy;
use crate::state::State;

/// Makes a [`Guest`](crate::Guest): its data, its imports, and where things stand in it.
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
    /// Whether `link` was called.
    linked: bool,
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
    pub(crate) check_frames: bool,
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
            linked: false,
            link_with_store: Vec::new(),
            mistake: None,
            trap_unknown: false,
            trust_instrumentation: false,
            settings: Settings::default(),
        }
    }

    /// Offers the guest the imports of an annotated host.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn imports<H: Imports>(self, host: H) -> Self {
        self.shared_imports(Arc::new(host))
    }

    /// As [`imports`](Self::imports), for a host that others use too.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// use std::sync::Arc;
    ///
    /// let host = Arc::new(Host);
    /// let first = Guest::builder(&module).shared_imports(Arc::clone(&host)).instantiate().await?;
    /// let second = Guest::builder(&module).shared_imports(host).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn shared_imports<H: Imports>(mut self, host: Arc<H>) -> Self {
        self.imports.host(host);
        self
    }

    /// Offers the guest imports that are defined by hand. See [`AsyncImports::define`] for an example.
    pub fn async_imports(mut self, imports: AsyncImports<T>) -> Self {
        self.imports.append(imports);
        self
    }

    /// Links what else the guest needs, with wasmtime's own linker: WASI, say.
    ///
    /// Such functions do not suspend, and must not call the guest in a way that suspends. Nothing
    /// keeps them from running while the guest unwinds or rewinds, as a function that was not
    /// instrumented would call them; see [`check_frames`](Self::check_frames).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "math" "double" (func $double (param i32) (result i32))) (func (export "run") (result i32) i32.const 4 call $double))"#)?;
    /// let guest = Guest::builder(&module)
    ///     .link(|linker| linker.func_wrap("math", "double", |n: u32| n * 2).map(drop))
    ///     .instantiate()
    ///     .await?;
    /// let run = guest.all_exports().typed::<(), (u32,)>("run")?;
    /// assert_eq!(run.call(()).await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn link<E>(
        mut self,
        link: impl FnOnce(&mut Linker<State<T>>) -> std::result::Result<(), E>,
    ) -> Self
    where
        E: Into<crate::BoxError>,
    {
        self.linked = true;
        if let Err(error) = link(&mut self.linker) {
            self.mistake.get_or_insert(Error::Instantiate { source: error.into() });
        }
        self
    }

    /// As [`link`](Self::link), with the guest's store at hand: to define a memory or a global
    /// that the guest imports, say. It runs within [`instantiate`](Self::instantiate). An imported
    /// memory that nobody defines is made to the limits that the module declares.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "base" (global (mut i32))) (func (export "base") (result i32) global.get 0))"#)?;
    /// use asyncify::wasmtime::{Global, GlobalType, Mutability, Val, ValType};
    ///
    /// let guest = Guest::builder(&module)
    ///     .link_with_store(|linker, store| {
    ///         let ty = GlobalType::new(ValType::I32, Mutability::Var);
    ///         let base = Global::new(&mut *store, ty, Val::I32(1024))?;
    ///         Ok(linker.define(&mut *store, "env", "base", base).map(drop)?)
    ///     })
    ///     .instantiate()
    ///     .await?;
    /// let base = guest.all_exports().typed::<(), (u32,)>("base")?;
    /// assert_eq!(base.call(()).await?, (1024,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "abort" (func)) (func (export "three") (result i32) i32.const 3))"#)?;
    /// assert!(Guest::builder(&module).instantiate().await.is_err());
    /// let guest = Guest::builder(&module).trap_unknown_imports().instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trap_unknown_imports(mut self) -> Self {
        self.trap_unknown = true;
        self
    }

    /// Accepts a module in which a function calls a suspending import without having been
    /// instrumented for it: you know that it never waits there.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).trust_instrumentation().instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trust_instrumentation(mut self) -> Self {
        self.trust_instrumentation = true;
        self
    }

    /// Looks at each suspension whether every function on the stack was instrumented, and ends the
    /// call with [`Error::UninstrumentedCaller`] if one was not, before anything has gone wrong.
    ///
    /// A function that was left out, by `ignore-indirect` or a list, runs on while the others
    /// unwind, and runs again when they are rewound. Otherwise that is told when it comes to an
    /// import that is defined here; what it does in a function of [`link`](Self::link) goes
    /// unnoticed. To walk the stack takes longer than to suspend: it is meant for tests, and for
    /// guests that are not known well.
    ///
    /// wasmtime shows as many frames as `Config::wasm_backtrace_max_frames` says, 20 if it says
    /// nothing. A call that suspends below as many ends with [`Error::Config`].
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).check_frames().instantiate().await?;
    /// # let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// spin.call((1,)).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn check_frames(mut self) -> Self {
        self.settings.check_frames = true;
        self
    }

    /// Where the window and the shadow stacks' regions go; [`Place::Auto`] by default. See
    /// [`Place`] for an example.
    pub fn place(mut self, place: Place) -> Self {
        self.settings.place = place;
        self
    }

    /// How parked calls keep their part of the guest's stack; [`StackPolicy::Separate`] by default. See
    /// [`StackPolicy`] for an example.
    pub fn stack_policy(mut self, policy: StackPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Bytes of each shadow stack region. By default as many as the guest's own stack has, where
    /// that can be told, but 1 MiB at most; else 64 KiB. See [`StackPolicy`] for an example.
    pub fn region_size(mut self, bytes: u64) -> Self {
        self.settings.region_size = Some(bytes);
        self
    }

    /// Bytes of the first window, 64 at least; 64 KiB by default, or the limit where that is less.
    /// It grows when a call needed more, up to [`Limits::window_bytes`]. To ask for more than that
    /// limit is an [`Error::Config`], whichever of the two is set first.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).window_size(4096).instantiate().await?;
    /// # let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// spin.call((1,)).await?;
    /// assert_eq!(guest.stats().await?.window_bytes, 4096);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn window_size(mut self, bytes: u64) -> Self {
        self.settings.window_size = Some(bytes);
        self
    }

    /// Names the global that is the shadow stack pointer, by its export's name, its own name or
    /// its index, where [`Findings::stack_pointer`](crate::Findings::stack_pointer) could not tell for certain.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (memory 2) (global (export "sp") (mut i32) (i32.const 65536)))"#)?;
    /// let guest = Guest::builder(&module).stack_pointer("sp").instantiate().await?;
    /// // Or the global is something else, and there is no stack.
    /// let guest = Guest::builder(&module).no_stack_pointer().instantiate().await?;
    /// assert!(Guest::builder(&module).stack_pointer("no such").instantiate().await.is_err());
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn stack_pointer(mut self, global: impl Into<String>) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::Global(global.into()));
        self
    }

    /// Says that the guest has no shadow stack. See [`stack_pointer`](Self::stack_pointer) for an
    /// example.
    pub fn no_stack_pointer(mut self) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::None);
        self
    }

    /// The exports to call first, in order, instead of `_initialize` or `__wasm_call_ctors`. They
    /// take and return nothing, and may suspend.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (global $ready (mut i32) (i32.const 0)) (func (export "setup") i32.const 1 global.set $ready) (func (export "ready") (result i32) global.get $ready))"#)?;
    /// let guest = Guest::builder(&module).initialize(["setup"]).instantiate().await?;
    /// let ready = guest.all_exports().typed::<(), (u32,)>("ready")?;
    /// assert_eq!(ready.call(()).await?, (1,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn initialize<N: Into<String>>(mut self, exports: impl IntoIterator<Item = N>) -> Self {
        self.settings.initialize = Some(exports.into_iter().map(N::into).collect());
        self
    }

    /// How much the guest's calls may hold. See [`Limits`] for an example.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How large the guest's memories and tables may grow.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (memory 2))"#)?;
    /// use asyncify::wasmtime::StoreLimitsBuilder;
    ///
    /// let limits = StoreLimitsBuilder::new().memory_size(64 << 10).build();
    /// let refused = Guest::builder(&module).store_limits(limits).instantiate().await;
    /// assert!(refused.is_err(), "its memory starts with two pages");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn store_limits(mut self, limits: StoreLimits) -> Self {
        self.settings.store_limits = Some(limits);
        self
    }

    /// How many epoch ticks each run of wasm has before it ends with [`Error::Deadline`]. Somebody
    /// must tick: [`Ticker`](crate::Ticker) does, or your own calls of
    /// [`Engine::increment_epoch`](wasmtime::Engine::increment_epoch).
    ///
    /// ```
    /// use std::time::Duration;
    /// use asyncify::wasmtime::{Config, Engine};
    /// use asyncify::{Error, Guest, Module, Ticker};
    ///
    /// # futures::executor::block_on(async {
    /// let mut config = Config::new();
    /// config.epoch_interruption(true);
    /// # let engine = Engine::new(&config).unwrap();
    /// let _ticker = Ticker::start(&engine, Duration::from_millis(1))?;
    ///
    /// let module = Module::new(&engine, r#"(module (func (export "run") (loop br 0)))"#)?;
    /// let guest = Guest::builder(&module).epoch_deadline(5).instantiate().await?;
    /// let run = guest.all_exports().typed::<(), ()>("run")?;
    /// assert!(matches!(run.call(()).await, Err(Error::Deadline { ticks: 5, .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn epoch_deadline(mut self, ticks: u64) -> Self {
        self.settings.deadline = Some(ticks.min(deadline::NEVER));
        self
    }

    /// Leaves the guest open for other calls when one traps. By default a trap poisons it, and so
    /// it does where its shadow stack cannot be freed, for want of the [`stack_pointer`](Self::stack_pointer).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (func (export "fail") unreachable))"#)?;
    /// let guest = Guest::builder(&module).trap_keeps_guest().instantiate().await?;
    /// let fail = guest.all_exports().typed::<(), ()>("fail")?;
    /// assert!(fail.call(()).await.is_err());
    /// assert!(!guest.is_poisoned().await?);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn trap_keeps_guest(mut self) -> Self {
        self.settings.trap_clears = true;
        self
    }

    /// Poisons the guest also when the host ends a call, by an error or by dropping it.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).host_end_poisons().instantiate().await?;
    /// let mut call = guest.all_exports().typed::<(u32,), (u32,)>("spin")?.call((1,));
    /// assert!(futures::poll!(&mut call).is_pending());
    /// drop(call);
    /// assert!(guest.is_poisoned().await?);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn host_end_poisons(mut self) -> Self {
        self.settings.host_end_poisons = true;
        self
    }
}

impl<T: Send + 'static> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("imports", &self.imports).finish_non_exhaustive()
    }
}
