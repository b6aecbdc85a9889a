//! Bytes to a prepared module: findings, checks, added exports.
//!
//! The way is `parse` → `asyncify` (its functions and globals) → `scan` (every body, with
//! `writes`) → `stack_pointer` → `exports` and `guard` (what is added, and what changes) →
//! `sections` (the module anew). [`Prepared`] runs it, and [`Findings`] is what it leaves. Only
//! `parse`, `exports`, `guard` and `sections` know the binary format.

mod allocator;
mod asyncify;
mod body;
mod build;
mod collector;
mod constants;
mod control;
mod exports;
mod findings;
mod found;
mod functions;
mod guard;
mod kind;
mod parse;
mod prepared;
mod scan;
mod sections;
mod stack_pointer;
mod unwinding;
mod writes;

use std::path::Path;
use std::sync::Arc;

use wasmtime::{Engine, ExternType, ValType};

pub use allocator::Allocator;
pub(crate) use constants::Constants;
pub use findings::Findings;
pub(crate) use found::PointerWidth;
pub use found::{
    FoundBy, GlobalKind, Instrumentation, MemoryFinding, MutableGlobal, StackGuard, StackPointer,
};
pub use prepared::Prepared;

use crate::error::{Error, Name, Result};
use findings::stale;

/// A module that guests are made from: compiled, with all exports that the runtime needs.
///
/// Any module is taken, instrumented or not, with its names or minified. What is missing of
/// exports is added when it is loaded. It is cheap to clone.
///
/// # Examples
///
/// ```
/// use asyncify::Module;
///
/// let engine = asyncify::wasmtime::Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (import "env" "sleep" (func $sleep))
///     (memory 1)
///     (func (export "run") call $sleep))"#)?;
/// println!("{}", module.findings().stack_pointer());
/// assert!(module.wasmtime().get_export("run").is_some());
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Module {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    wasmtime: wasmtime::Module,
    findings: Findings,
}

impl Module {
    /// Prepares and compiles a module: WebAssembly in binary, or as text with the feature `wat`.
    ///
    /// # Errors
    ///
    /// Those of [`Prepared::new`], and [`Error::InvalidModule`] if the engine refuses the module.
    ///
    /// ```
    /// # use asyncify::Module;
    /// # use asyncify::wasmtime::Engine;
    /// let module = Module::new(&Engine::default(), r#"(module (memory 1) (func (export "run")))"#)?;
    /// assert!(Module::new(&Engine::default(), b"no module").is_err());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::from_prepared(Prepared::new(bytes)?, engine)
    }

    /// Reads, prepares and compiles a module, in the same formats as [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::File`] if the file cannot be read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use asyncify::Module;
    /// let engine = asyncify::wasmtime::Engine::default();
    /// let module = Module::from_file(&engine, "guest.wasm")?;
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: name(), source })?;
        Self::new(engine, bytes).map_err(|error| match error {
            Error::InvalidModule { source, .. } => {
                Error::InvalidModule { file: Some(name()), source }
            }
            error => error,
        })
    }

    /// Prepares and compiles a module in the binary format; text is refused.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncify::{Error, Module};
    /// let engine = asyncify::wasmtime::Engine::default();
    /// assert!(Module::from_binary(&engine, b"\0asm\x01\0\0\0").is_ok());
    /// assert!(matches!(Module::from_binary(&engine, b"(module)"), Err(Error::InvalidModule { .. })));
    /// ```
    pub fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Self> {
        Self::from_prepared(Prepared::from_wasm(bytes)?, engine)
    }

    /// Compiles a module that was prepared before.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidModule`] if the engine refuses the module, [`Error::StalePrepared`] if the
    /// findings are not of these bytes.
    ///
    /// # Examples
    ///
    /// See [`Prepared`].
    pub fn from_prepared(prepared: Prepared, engine: &Engine) -> Result<Self> {
        let module =
            wasmtime::Module::from_binary(engine, prepared.wasm()).map_err(parse::invalid)?;
        Self::from_compiled(prepared.into_findings(), module)
    }

    /// Takes a module that was compiled from [`Prepared::wasm`], for example one that wasmtime
    /// deserialized, with the findings that were kept beside it.
    ///
    /// # Errors
    ///
    /// [`Error::StalePrepared`] if the findings are of another build of the module: an export that is
    /// added to it has that build's digest for its name.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncify::{Findings, Module, Prepared};
    ///
    /// let engine = asyncify::wasmtime::Engine::default();
    /// let prepared = Prepared::new("(module (memory 1))")?;
    /// let kept = prepared.findings().to_bytes();
    /// let compiled = asyncify::wasmtime::Module::new(&engine, prepared.wasm()).unwrap();
    ///
    /// let module = Module::from_compiled(Findings::from_bytes(&kept)?, compiled)?;
    /// assert_eq!(module.findings(), prepared.findings());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn from_compiled(findings: Findings, module: wasmtime::Module) -> Result<Self> {
        check(&findings, &module)?;
        Ok(Self { inner: Arc::new(Inner { wasmtime: module, findings }) })
    }

    /// The compiled module, with the added exports.
    ///
    /// ```
    /// # use asyncify::Module;
    /// # use asyncify::wasmtime::Engine;
    /// let module = Module::new(&Engine::default(), r#"(module (memory 1) (func (export "run")))"#)?;
    /// assert!(module.wasmtime().exports().any(|export| export.name() == "run"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn wasmtime(&self) -> &wasmtime::Module {
        &self.inner.wasmtime
    }

    /// What the preparation found.
    ///
    /// ```
    /// # use asyncify::Module;
    /// # use asyncify::wasmtime::Engine;
    /// let module = Module::new(&Engine::default(), r#"(module (memory 1) (func (export "run")))"#)?;
    /// assert!(module.findings().asyncify().is_none(), "it is not instrumented");
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.inner.findings
    }
}

/// Whether `module` has what `findings` names, each with its type.
fn check(findings: &Findings, module: &wasmtime::Module) -> Result<()> {
    let told = module.exports().find(|export| build::is_name(export.name()));
    if told.map(|export| export.name().to_owned()) != findings.build.as_deref().map(build::name) {
        return Err(stale("the compiled module is of another build than the findings"));
    }
    let pointer = findings.pointer_width().kind();
    for global in findings.mutable_globals() {
        check_global(module, global.export(), global.kind())?;
    }
    if let Some(asyncify) = findings.asyncify() {
        check_global(module, asyncify.state(), GlobalKind::I32)?;
        check_global(module, asyncify.data(), pointer)?;
    }
    if let Some(export) = findings.stack_pointer().export() {
        check_global(module, export, pointer)?;
    }
    if let Some(guard) = findings.stack_guard() {
        check_global(module, guard.limit(), pointer)?;
        check_global(module, guard.hit(), pointer)?;
    }
    if let Some(memory) = findings.memory() {
        let is_64 = pointer == GlobalKind::I64;
        match module.get_export(memory.export()) {
            Some(ExternType::Memory(found)) if found.is_64() == is_64 => {}
            _ => return Err(absent("memory", memory.export())),
        }
    }
    let functions = findings.asyncify().into_iter().flat_map(Instrumentation::functions);
    let functions =
        functions.chain(findings.allocator().into_iter().flat_map(Allocator::functions));
    for name in functions.chain(findings.initializer()) {
        if !matches!(module.get_export(name), Some(ExternType::Func(_))) {
            return Err(absent("function", name));
        }
    }
    Ok(())
}

fn check_global(module: &wasmtime::Module, name: &str, kind: GlobalKind) -> Result<()> {
    let Some(ExternType::Global(found)) = module.get_export(name) else {
        return Err(absent("global", name));
    };
    let found_kind = match found.content() {
        ValType::I32 => GlobalKind::I32,
        ValType::I64 => GlobalKind::I64,
        ValType::F32 => GlobalKind::F32,
        ValType::F64 => GlobalKind::F64,
        ValType::V128 => GlobalKind::V128,
        ValType::Ref(_) => GlobalKind::Ref,
    };
    if found.mutability().is_var() && found_kind == kind {
        Ok(())
    } else {
        Err(absent("global", name))
    }
}

fn absent(kind: &str, name: &str) -> Error {
    stale(format!("the compiled module has no {kind} {} as the findings describe it", Name(name)))
}
