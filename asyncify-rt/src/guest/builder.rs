//! Making a guest: what it is made of. Each of the files below sets what concerns one thing, and
//! `instantiate` makes the guest.

mod call_state;
mod checks;
mod ends;
mod imports;
mod instantiate;
mod limits;
mod names;
mod places;

use std::sync::Arc;

use wasmtime::{Linker, Store, StoreLimits};

use crate::error::{Error, Result};
use crate::imports::AsyncImports;
use crate::limits::Budget;
use crate::limits::Limits;
use crate::module::Module;
use crate::parts::shadow::StackPolicy;
use crate::store::{Hooks, Place, State};

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
    call_state: Option<Arc<dyn Hooks<T>>>,
    settings: Settings,
}

type LinkWithStore<T> = Box<
    dyn FnOnce(&mut Linker<State<T>>, &mut Store<State<T>>) -> Result<(), crate::BoxError> + Send,
>;

/// What concerns the guest once it is linked.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Settings {
    pub(crate) place: Place,
    /// `None` for what fits the guest's room.
    pub(crate) policy: Option<StackPolicy>,
    pub(crate) region_size: Option<u64>,
    pub(crate) window_size: Option<u64>,
    pub(crate) stack_pointer: Option<StackPointerSetting>,
    pub(crate) initialize: Option<Vec<String>>,
    pub(crate) limits: Limits,
    pub(crate) store_limits: Option<StoreLimits>,
    pub(crate) budget: Budget,
    pub(crate) call_globals: Vec<String>,
    /// The module's name of an export, and another that it is found by.
    pub(crate) renamed_exports: Vec<(String, String)>,
    pub(crate) check_frames: bool,
    pub(crate) trusts: bool,
    /// Whether frames of other instances may lie between the guest's.
    pub(crate) has_others: bool,
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
            call_state: None,
            settings: Settings::default(),
        }
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
}

impl<T: Send + 'static> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("imports", &self.imports).finish_non_exhaustive()
    }
}
