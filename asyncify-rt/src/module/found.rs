//! The parts of the findings.

mod stack;

use serde::{Deserialize, Serialize};

pub(crate) use crate::parts::memory::PointerWidth;
pub use stack::{FoundBy, StackGuard, StackPointer};

impl PointerWidth {
    pub(super) fn value_type(self) -> wasmparser::ValType {
        match self {
            Self::Memory32 => wasmparser::ValType::I32,
            Self::Memory64 => wasmparser::ValType::I64,
        }
    }

    pub(crate) fn kind(self) -> GlobalKind {
        match self {
            Self::Memory32 => GlobalKind::I32,
            Self::Memory64 => GlobalKind::I64,
        }
    }
}

/// The exports by which Asyncify is driven.
///
/// The two globals are always there. The functions are those of the guest's own exports that set
/// them; a host that writes the globals needs none of the functions, and may want to hide them.
///
/// ```
/// # use asyncify::Prepared;
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
/// # let wasm = std::fs::read(GUEST).unwrap();
/// let prepared = Prepared::new(wasm)?;
/// let asyncify = prepared.findings().asyncify().expect("it is instrumented");
/// assert_eq!((asyncify.state(), asyncify.data()), ("__asyncify_state", "__asyncify_data"));
/// assert_eq!(asyncify.get_state(), Some("asyncify_get_state"));
/// assert_eq!(asyncify.start_unwind(), Some("asyncify_start_unwind"));
/// assert_eq!(asyncify.start_rewind(), Some("asyncify_start_rewind"));
/// assert_eq!(asyncify.stop_unwind(), Some("asyncify_stop_unwind"));
/// assert_eq!(asyncify.stop_rewind(), Some("asyncify_stop_rewind"));
/// assert_eq!(asyncify.functions().count(), 5);
/// assert!(asyncify.is_sealed());
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrumentation {
    pub(super) state: String,
    pub(super) data: String,
    pub(super) start_unwind: Option<String>,
    pub(super) stop_unwind: Option<String>,
    pub(super) start_rewind: Option<String>,
    pub(super) stop_rewind: Option<String>,
    pub(super) get_state: Option<String>,
    pub(super) sealed: bool,
}

impl Instrumentation {
    /// The `i32` global that is 0 normally, 1 while unwinding, 2 while rewinding.
    /// See [`Instrumentation`] for an example.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The global that holds the address of the struct with the unwind stack's position and end.
    /// See [`Instrumentation`] for an example.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The export that works as `asyncify_start_unwind`. See [`Instrumentation`] for an example.
    #[must_use]
    pub fn start_unwind(&self) -> Option<&str> {
        self.start_unwind.as_deref()
    }

    /// The export that works as `asyncify_stop_unwind`. See [`Instrumentation`] for an example.
    #[must_use]
    pub fn stop_unwind(&self) -> Option<&str> {
        self.stop_unwind.as_deref()
    }

    /// The export that works as `asyncify_start_rewind`. See [`Instrumentation`] for an example.
    #[must_use]
    pub fn start_rewind(&self) -> Option<&str> {
        self.start_rewind.as_deref()
    }

    /// The export that works as `asyncify_stop_rewind`: it may be the same as
    /// [`stop_unwind`](Self::stop_unwind). See [`Instrumentation`] for an example.
    #[must_use]
    pub fn stop_rewind(&self) -> Option<&str> {
        self.stop_rewind.as_deref()
    }

    /// The export that works as `asyncify_get_state`; linkers drop it if nothing uses it.
    /// See [`Instrumentation`] for an example.
    #[must_use]
    pub fn get_state(&self) -> Option<&str> {
        self.get_state.as_deref()
    }

    /// Whether the module itself never sets the state: only the functions above do, and nothing in
    /// the module calls them. The state is then what the host last wrote, and need not be read.
    /// See [`Instrumentation`] for an example.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The functions above, as far as they are exported. See [`Instrumentation`] for an example.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        let functions = [
            &self.start_unwind,
            &self.stop_unwind,
            &self.start_rewind,
            &self.stop_rewind,
            &self.get_state,
        ];
        functions.into_iter().flatten().map(String::as_str)
    }
}

/// The module's one memory.
///
/// ```
/// # use asyncify::Prepared;
/// let prepared = Prepared::new(r#"(module (memory (export "mem") 1))"#)?;
/// let memory = prepared.findings().memory().expect("a memory");
/// assert_eq!((memory.export(), memory.import()), ("mem", None));
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFinding {
    pub(super) export: String,
    pub(super) import: Option<(String, String)>,
}

impl MemoryFinding {
    /// The export under which it can be reached. See [`MemoryFinding`] for an example.
    #[must_use]
    pub fn export(&self) -> &str {
        &self.export
    }

    /// The module and name it is imported by, if it is. See [`MemoryFinding`] for an example.
    #[must_use]
    pub fn import(&self) -> Option<(&str, &str)> {
        self.import.as_ref().map(|(module, name)| (module.as_str(), name.as_str()))
    }
}

/// A mutable global of the module.
///
/// ```
/// # use asyncify::{GlobalKind, Prepared};
/// let prepared = Prepared::new(r#"(module (global (export "count") (mut i64) (i64.const 0)))"#)?;
/// let global = &prepared.findings().mutable_globals()[0];
/// assert_eq!((global.index(), global.export(), global.kind()), (0, "count", GlobalKind::I64));
/// assert!(global.names().eq(["count"]));
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutableGlobal {
    pub(super) index: u32,
    pub(super) export: String,
    pub(super) aliases: Vec<String>,
    pub(super) kind: GlobalKind,
}

impl MutableGlobal {
    /// Its index in the module. See [`MutableGlobal`] for an example.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The export under which it can be reached. See [`MutableGlobal`] for an example.
    #[must_use]
    pub fn export(&self) -> &str {
        &self.export
    }

    /// All its names: its export, then others. See [`MutableGlobal`] for an example.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.export).chain(&self.aliases).map(String::as_str)
    }

    /// The kind of value it holds. See [`MutableGlobal`] for an example.
    #[must_use]
    pub fn kind(&self) -> GlobalKind {
        self.kind
    }
}

/// The kind of value that a global holds.
///
/// ```
/// # use asyncify::{GlobalKind, Prepared};
/// let prepared = Prepared::new(r#"(module (global (mut f64) (f64.const 0)) (global (mut funcref) (ref.null func)))"#)?;
/// let kinds: Vec<_> = prepared.findings().mutable_globals().iter().map(|global| global.kind()).collect();
/// assert_eq!(kinds, [GlobalKind::F64, GlobalKind::Ref]);
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are WebAssembly's own types")]
pub enum GlobalKind {
    I32,
    I64,
    F32,
    F64,
    V128,
    /// A reference of any type.
    Ref,
}
