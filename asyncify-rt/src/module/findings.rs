//! What the preparation found: plain data, which can be kept beside a compiled module.

use serde::{Deserialize, Serialize};

use super::allocator::Allocator;
use super::constants::Constants;
use super::found::{
    Instrumentation, MemoryFinding, MutableGlobal, PointerWidth, StackGuard, StackPointer,
};
use super::functions::{Callers, Functions, Tables};
use crate::error::{Error, Result};

/// Starts what [`Findings::to_bytes`] makes. A change of the types below is a new number.
const MAGIC: &[u8] = b"asyncify findings 4\n";

/// What a module's preparation found.
///
/// Names in here are those of exports of the *prepared* module: each thing that the runtime needs
/// can be reached by them, whether the module exported it itself or not.
///
/// # Examples
///
/// ```
/// use asyncify::{Findings, Prepared, StackPointer};
///
/// let prepared = Prepared::new(br#"(module
///     (memory 2)
///     (global $__stack_pointer (mut i32) (i32.const 65536))
///     (data (i32.const 65536) "hello"))"#)?;
/// let findings = prepared.findings();
/// assert!(findings.asyncify().is_none());
/// assert_eq!(findings.memory().map(|memory| memory.export()), Some("memory"));
/// assert_eq!(findings.stack_pointer().export(), Some("__stack_pointer"));
/// assert_eq!(findings.stack_size(), Some(65536));
///
/// let kept = findings.to_bytes();
/// assert_eq!(&Findings::from_bytes(&kept)?, findings);
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Which build they are of: see `build.rs`. A module that has nothing has none.
    pub(super) build: Option<String>,
    pub(super) asyncify: Option<Instrumentation>,
    pub(super) pointer_width: PointerWidth,
    pub(super) memory: Option<MemoryFinding>,
    pub(super) stack_pointer: StackPointer,
    pub(super) stack_size: Option<u64>,
    pub(super) stack_bounds: Option<(u64, u64)>,
    pub(super) stack_guard: Option<StackGuard>,
    pub(super) allocator: Option<Allocator>,
    pub(super) constants: Constants,
    pub(super) initializer: Option<String>,
    pub(super) collector: Option<String>,
    pub(super) mutable_globals: Vec<MutableGlobal>,
    pub(super) added_exports: Vec<String>,
    pub(super) callers: Callers,
    /// The functions that can be unwound.
    pub(super) instrumented: Functions,
    /// Those that let frames be rewound or take up where they were unwound, by themselves.
    pub(super) scheduling: Functions,
    pub(super) tables: Tables,
}

impl Findings {
    /// Asyncify's globals and functions, or nothing if the module is not instrumented.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # let wasm = std::fs::read(GUEST).unwrap();
    /// let prepared = Prepared::new(wasm)?;
    /// let asyncify = prepared.findings().asyncify().expect("it is instrumented");
    /// assert_eq!(asyncify.start_unwind(), Some("asyncify_start_unwind"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn asyncify(&self) -> Option<&Instrumentation> {
        self.asyncify.as_ref()
    }

    /// How wide the guest's addresses are.
    ///
    /// ```
    /// # use asyncify::{PointerWidth, Prepared};
    /// let prepared = Prepared::new(r#"(module (memory i64 1))"#)?;
    /// assert_eq!(prepared.findings().pointer_width(), PointerWidth::Memory64);
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn pointer_width(&self) -> PointerWidth {
        self.pointer_width
    }

    /// The module's one memory, if it has any.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (import "env" "mem" (memory 1)))"#)?;
    /// let memory = prepared.findings().memory().expect("a memory");
    /// assert_eq!(memory.import(), Some(("env", "mem")));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn memory(&self) -> Option<&MemoryFinding> {
        self.memory.as_ref()
    }

    /// The shadow stack pointer, and how it was told.
    ///
    /// ```
    /// # use asyncify::{Prepared, StackPointer};
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// assert_eq!(prepared.findings().stack_pointer(), &StackPointer::Absent);
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn stack_pointer(&self) -> &StackPointer {
        &self.stack_pointer
    }

    /// The size in bytes of the guest's own shadow stack, where that can be told.
    ///
    /// It can if the stack lies below all data, as Rust and Zig link it, or if the module names
    /// the bounds: `__stack_low`, `__data_end`, or Emscripten's `emscripten_stack_init`. A module
    /// whose data is all zero is taken to have its stack first if that ends with a page.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 65536)) (data (i32.const 65536) "x"))"#)?;
    /// assert_eq!(prepared.findings().stack_size(), Some(64 << 10));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn stack_size(&self) -> Option<u64> {
        self.stack_size
    }

    /// The addresses that the guest's own shadow stack may take: down from where the pointer starts
    /// to the stack's end or, where that cannot be told, to the end of the data below it.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 65536)) (data (i32.const 1024) "below"))"#)?;
    /// let findings = prepared.findings();
    /// assert_eq!((findings.stack_size(), findings.stack_bounds()), (None, Some(1029..65536)));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn stack_bounds(&self) -> Option<std::ops::Range<u64>> {
        self.stack_bounds.map(|(bottom, top)| bottom..top)
    }

    /// What the code is stopped by before it runs over the end of its shadow stack. Modules that are
    /// not instrumented have no such guard, nor those whose stack pointer is not certain.
    /// See [`StackGuard`] for an example.
    #[must_use]
    pub fn stack_guard(&self) -> Option<&StackGuard> {
        self.stack_guard.as_ref()
    }

    /// The guest's allocator, if it exports one under a usual name and type.
    ///
    /// ```
    /// # use asyncify::{Allocator, Prepared};
    /// let prepared = Prepared::new(r#"(module (memory 1) (func (export "malloc") (param i32) (result i32) i32.const 0) (func (export "free") (param i32)))"#)?;
    /// assert!(matches!(prepared.findings().allocator(), Some(Allocator::Malloc { .. })));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn allocator(&self) -> Option<&Allocator> {
        self.allocator.as_ref()
    }

    /// The export to call once before all others: `_initialize`, else `__wasm_call_ctors`.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (func (export "_initialize")))"#)?;
    /// assert_eq!(prepared.findings().initializer(), Some("_initialize"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn initializer(&self) -> Option<&str> {
        self.initializer.as_deref()
    }

    /// By which functions the guest seems to have a collector that looks for objects on its own
    /// stack: their name, or how their names begin, with a `*`.
    ///
    /// Such a guest needs [`StackPolicy::Exclusive`](crate::StackPolicy::Exclusive) if its calls
    /// wait. It is told by names alone, so it may be missed in a module without any, and a module
    /// may be taken for one whose collector never looks there.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (func $GC_malloc))"#)?;
    /// assert_eq!(prepared.findings().collector(), Some("GC_*"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn collector(&self) -> Option<&str> {
        self.collector.as_deref()
    }

    /// Every mutable global, imported ones too, in the order of their indices.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (global (export "count") (mut i32) (i32.const 0)))"#)?;
    /// let globals = prepared.findings().mutable_globals();
    /// assert_eq!((globals[0].export(), globals[0].index()), ("count", 0));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn mutable_globals(&self) -> &[MutableGlobal] {
        &self.mutable_globals
    }

    /// The export under which a mutable global can be reached.
    ///
    /// `global` is one of its names (an export, a name from the name section, or the name it is
    /// imported by), or its index as a decimal number.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (global $count (mut i32) (i32.const 0)))"#)?;
    /// let findings = prepared.findings();
    /// assert!(findings.global_export("count").is_some());
    /// assert_eq!(findings.global_export("count"), findings.global_export("0"));
    /// assert_eq!(findings.global_export("no such"), None);
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn global_export(&self, global: &str) -> Option<&str> {
        let by_name = self.mutable_globals.iter().find(|found| {
            found.export == global || found.aliases.iter().any(|alias| alias == global)
        });
        let found = by_name.or_else(|| {
            let index: u32 = global.parse().ok()?;
            self.mutable_globals.iter().find(|found| found.index == index)
        });
        found.map(|found| found.export.as_str())
    }

    /// The exports that the preparation added, in the order of the export section. The last one says
    /// which build of the module this is: [`Module::from_compiled`](crate::Module::from_compiled) takes
    /// no findings of another.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// let [memory, build] = prepared.findings().added_exports() else { unreachable!() };
    /// assert_eq!(memory, "memory");
    /// assert!(build.starts_with("asyncify:build:"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn added_exports(&self) -> &[String] {
        &self.added_exports
    }

    /// Where the module's data lies.
    pub(crate) fn constants(&self) -> &Constants {
        &self.constants
    }

    /// The findings as bytes, to be kept beside an artifact that was compiled from the prepared
    /// module.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// let kept: Vec<u8> = prepared.findings().to_bytes();
    /// assert!(!kept.is_empty());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serializing plain data into a vector has no way to fail. If it ever did, the bytes
        // would be refused when they are read.
        postcard::to_extend(self, MAGIC.to_vec()).unwrap_or_default()
    }

    /// The findings that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::StalePrepared`] if the bytes are something else, or another version wrote them.
    ///
    /// ```
    /// # use asyncify::{Error, Findings};
    /// assert!(matches!(Findings::from_bytes(b"else"), Err(Error::StalePrepared { .. })));
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| stale("these are no findings of this version"))?;
        match postcard::take_from_bytes(rest) {
            Ok((findings, [])) => Ok(findings),
            Ok(_) => Err(stale("the findings have bytes behind their end")),
            Err(error) => Err(stale(format!("the findings are damaged: {error}"))),
        }
    }
}

pub(super) fn stale(reason: impl Into<String>) -> Error {
    Error::StalePrepared { reason: reason.into() }
}
