//! From a builder to a guest: linking, instantiating, and the functions that run first.

use wasmtime::{Instance, Store, Trap};

use super::{Builder, Settings};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::guest::link;
use crate::module::Module;
use crate::store::State;

/// Making the guest.
impl<T: Send + 'static> Builder<T> {
    /// Links the module and runs the functions that come first.
    ///
    /// # Errors
    /// [`Error::Imports`] lists every import that is missing or differs;
    /// [`Error::NotInstrumented`] and [`Error::UninstrumentedCaller`] tell a module that cannot
    /// suspend where the host does; others as they say.
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
    /// use asyncify::Error;
    ///
    /// let refused = Guest::builder(&module).instantiate().await;
    /// assert!(matches!(refused, Err(Error::Imports(missing)) if missing[0].import == "env.yield_now"));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub async fn instantiate(self) -> Result<Guest<T>> {
        let module = self.module.clone();
        let initialize = self.settings.initialize.clone();
        let guest = self.link_guest()?;
        let initialize = initialize.unwrap_or_else(|| {
            module.findings().initializer().map(str::to_owned).into_iter().collect()
        });
        // What these leave is how a call finds what it has of its own.
        let per_call = guest.with(|cx| cx.vm.store.data_mut().per_call.take()).await?;
        for export in initialize {
            guest.all_exports().typed::<(), ()>(&export)?.call(()).await?;
        }
        if let Some(mut per_call) = per_call {
            let keep = |cx: &mut GuestCx<'_, T>| {
                per_call.begin_with_this(&mut cx.vm);
                cx.vm.store.data_mut().per_call = Some(per_call);
            };
            guest.with(keep).await?;
        }
        Ok(guest)
    }

    fn link_guest(self) -> Result<Guest<T>> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let (module, mut linker) = (self.module, self.linker);
        self.imports.add_to_linker(&mut linker)?;
        let instrumented =
            link::check_instrumentation(&module, &self.imports, self.settings.trusts);
        let mut store = Store::new(module.wasmtime().engine(), State::new(&module, self.data));
        if let Some(limits) = self.settings.store_limits.clone() {
            store.data_mut().rt.store_limits = limits;
        }
        store.limiter(|state| &mut state.rt.store_limits);
        let budget = self.settings.budget;
        budget.check(&store)?;
        budget.open(&mut store);
        let mut settings = self.settings;
        if !self.link_with_store.is_empty() {
            let before = link::reachable(&module, &linker, &mut store);
            for link in self.link_with_store {
                link(&mut linker, &mut store).map_err(|source| Error::Instantiate { source })?;
            }
            settings.has_others = link::reachable(&module, &linker, &mut store) != before;
        }
        link::define_memory(&module, &mut linker, &mut store)?;
        if self.trap_unknown {
            linker
                .define_unknown_imports_as_traps(module.wasmtime())
                .map_err(link::instantiation)?;
        }
        let linkable = link::check_imports(&module, &linker, &mut store);
        link::tell(&module, &self.imports, instrumented, linkable)?;
        let instance = linker.instantiate(&mut store, module.wasmtime());
        let instance = instance.map_err(|error| {
            let spent = |trap: &Trap| budget.spent(*trap, "the start function".to_owned());
            match error.downcast::<Error>() {
                Ok(error) => error,
                Err(error) => error
                    .downcast_ref()
                    .and_then(spent)
                    .unwrap_or_else(|| link::instantiation(error)),
            }
        })?;
        link::assemble(&module, store, instance, settings, self.call_state)
    }
}

/// Making the guest of an instance that is there.
impl Builder<()> {
    /// Makes a guest of an instance that you linked yourself, with
    /// [`AsyncImports::add_to_linker`](crate::AsyncImports::add_to_linker) among others, and with
    /// this builder's settings. Its initializer is yours to call, and that every caller of a
    /// suspending import is instrumented is not checked.
    ///
    /// # Errors
    /// [`Error::Config`] if `instance` is not one of [`Module::wasmtime`], or if the builder has a
    /// setting that comes too late for it: imports, links, an initializer, or a `call_state`.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (func (export "three") (result i32) i32.const 3))"#)?;
    /// use asyncify::wasmtime::{Linker, Store};
    /// use asyncify::{Limits, StackPolicy, State};
    ///
    /// let engine = module.wasmtime().engine();
    /// let mut store = Store::new(engine, State::new(&module, "my data"));
    /// let linker = Linker::new(engine);
    /// # let instance = linker.instantiate(&mut store, module.wasmtime()).unwrap();
    /// let guest = Guest::builder(&module)
    ///     .stack_policy(StackPolicy::Copied)
    ///     .limits(Limits::default().parked_calls(1_000))
    ///     .from_parts(store, instance)?;
    /// assert_eq!(guest.with(|cx| *cx.data()).await?, "my data");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "it is `Guest::from_parts`, with settings")]
    pub fn from_parts<T: Send + 'static>(
        self,
        mut store: Store<State<T>>,
        instance: Instance,
    ) -> Result<Guest<T>> {
        if let Some(late) = self.comes_before_instance() {
            return Err(Error::Config(format!(
                "`Builder::{late}` comes too late for an instance that is linked already; {}",
                match late {
                    "initialize" => "call its initializer yourself",
                    "call_state" =>
                        "name globals with `Builder::call_globals`, or let a builder link it",
                    _ => "use its own linker",
                }
            )));
        }
        let module = self.module;
        if !wasmtime::Module::same(instance.module(&store), module.wasmtime()) {
            return Err(Error::Config(
                "the instance is one of another module; instantiate what `Module::wasmtime` gives"
                    .to_owned(),
            ));
        }
        if let Some(limits) = self.settings.store_limits.clone() {
            store.data_mut().rt.store_limits = limits;
            store.limiter(|state| &mut state.rt.store_limits);
        }
        self.settings.budget.check(&store)?;
        let settings = Settings { has_others: true, ..self.settings };
        link::assemble(&module, store, instance, settings, None)
    }
}

impl<T: Send + 'static> Builder<T> {
    /// The first setting that only a guest which is still to be linked can have.
    fn comes_before_instance(&self) -> Option<&'static str> {
        let settings = [
            ("imports", !self.imports.is_empty()),
            ("link", self.linked),
            ("link_with_store", !self.link_with_store.is_empty()),
            ("trap_unknown_imports", self.trap_unknown),
            ("initialize", self.settings.initialize.is_some()),
            ("call_state", self.call_state.is_some()),
        ];
        settings.into_iter().find_map(|(name, given)| given.then_some(name))
    }
}

impl<T: Send + 'static> Guest<T> {
    /// Makes a guest of an instance of `module` that you linked yourself, with the settings of a
    /// new builder; see [`Builder::from_parts`] for others.
    ///
    /// # Errors
    /// [`Error::Config`] if `instance` is not one of [`Module::wasmtime`].
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (func (export "three") (result i32) i32.const 3))"#)?;
    /// use asyncify::State;
    /// use asyncify::wasmtime::{Linker, Store};
    ///
    /// let engine = module.wasmtime().engine();
    /// let mut store = Store::new(engine, State::new(&module, "my data"));
    /// let linker = Linker::new(engine);
    /// # let instance = linker.instantiate(&mut store, module.wasmtime()).unwrap();
    /// let guest = Guest::from_parts(&module, store, instance)?;
    /// assert_eq!(guest.with(|cx| *cx.data()).await?, "my data");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn from_parts(module: &Module, store: Store<State<T>>, instance: Instance) -> Result<Self> {
        Builder::new(module, ()).from_parts(store, instance)
    }
}
