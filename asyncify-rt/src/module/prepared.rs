//! Bytes to a prepared module with its findings.

use std::borrow::Cow;

use wasmparser::{ExternalKind, ValType};

use super::asyncify::{self, Asyncify, DATA, Role, STATE};
use super::exports::{self, Exports};
use super::findings::{Findings, stale};
use super::found::{
    FoundBy, GlobalKind, Instrumentation, MemoryFinding, MutableGlobal, StackGuard, StackPointer,
};
use super::guard::{self, Guard};
use super::parse::Parsed;
use super::sections::{self, Replaced};
use super::{allocator, build, collector, kind, parse, scan, stack_pointer};
use crate::error::{Error, Result};

/// Starts what [`Prepared::to_bytes`] makes.
const MAGIC: &[u8] = b"asyncify prepared 1\n";

/// A module's bytes, prepared for the runtime, and what was found in them.
///
/// Preparing needs no engine. What comes out can be kept, and compiled later or elsewhere.
/// A guest's bytes are not trusted here, but kept bytes are: who can write those decides what the
/// runtime takes for the guest's stack pointer.
///
/// # Examples
///
/// ```
/// use asyncify::{Module, Prepared};
///
/// let prepared = Prepared::new(r#"(module (memory 1) (func (export "run")))"#)?;
/// let kept = prepared.to_bytes();
///
/// let engine = asyncify::wasmtime::Engine::default();
/// let module = Module::from_prepared(Prepared::from_bytes(&kept)?, &engine)?;
/// assert!(module.wasmtime().get_export("run").is_some());
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    wasm: Vec<u8>,
    findings: Findings,
}

impl Prepared {
    /// Prepares a module: WebAssembly in binary, or as text with the feature `wat`.
    ///
    /// Exports are added. If the module is instrumented and its shadow stack pointer is certain, its
    /// code is changed as well, so that no call can run over the end of its stack: see
    /// [`StackGuard`]. All else stays as it is. Preparing what is prepared already adds nothing,
    /// and finds the same. The bytes are not validated here beyond what is read; compiling does
    /// that.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidModule`] if the bytes cannot be read, [`Error::MissingAsyncifyExport`] and
    /// [`Error::AsyncifyExportType`] if the module is instrumented only in part,
    /// [`Error::NoMemory`] if it is instrumented without a memory, [`Error::SeveralMemories`] and
    /// [`Error::SharedMemory`] if the runtime cannot use its memory.
    ///
    /// ```
    /// # use asyncify::{Error, Prepared};
    /// assert!(Prepared::new("(module)").is_ok());
    /// assert!(matches!(Prepared::new("(module (memory 1) (memory 1))"), Err(Error::SeveralMemories { count: 2 })));
    /// ```
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        refuse(kind::other_than_module(bytes, cfg!(feature = "wat")))?;
        Self::prepare(&binary(bytes)?)
    }

    /// Prepares a module in the binary format.
    pub(super) fn from_wasm(wasm: &[u8]) -> Result<Self> {
        refuse(kind::other_than_module(wasm, false))?;
        Self::prepare(wasm)
    }

    fn prepare(wasm: &[u8]) -> Result<Self> {
        let parsed = Parsed::new(wasm)?;
        check_memory(&parsed)?;
        let asyncify = asyncify::find(&parsed)?;
        if asyncify.is_some() && parsed.memories.is_empty() {
            return Err(Error::NoMemory);
        }
        let globals = asyncify.as_ref().map(|asyncify| asyncify.globals);
        let guarded = guarded(&parsed, asyncify.as_ref());
        let mut possible = stack_pointer::possible(&parsed, globals);
        for index in guarded.iter().flatten() {
            possible.get_mut(*index as usize).into_iter().for_each(|possible| *possible = false);
        }
        let named = stack_pointer::named(&parsed, &possible);
        if let Some(stack_pointer::Found::Global(found, _)) = &named {
            possible = (0..).take(possible.len()).map(|index: u32| index == *found).collect();
        }
        let scan = scan::scan(&parsed, asyncify.as_ref(), possible)?;
        let found = named.unwrap_or_else(|| stack_pointer::by_use(&parsed, &scan.writes.usage));

        let mut exports = Exports::new(&parsed);
        let memory = parsed.memories.first().map(|memory| MemoryFinding {
            export: exports.memory(),
            import: memory.import.map(|(module, name)| (module.to_owned(), name.to_owned())),
        });
        let mutable_globals =
            mutable_globals(&parsed, asyncify.as_ref(), &found, guarded, &mut exports);
        let export_of = |index: u32| {
            let global = mutable_globals.binary_search_by_key(&index, MutableGlobal::index).ok();
            global.and_then(|at| mutable_globals.get(at)).map(|global| global.export.clone())
        };
        let pointer = match &found {
            stack_pointer::Found::Global(index, _) => Some(*index),
            _ => None,
        };
        let stack_size = pointer.and_then(|index| stack_pointer::stack_size(&parsed, index));
        let bounds = pointer.and_then(|i| stack_pointer::stack_bounds(&parsed, i, stack_size));
        let (mut replaced, mut stack_guard) = (Replaced::new(), None);
        if let Some([limit, hit]) = guarded {
            let [limit, hit] = [limit, hit].map(|index| exports.global(index, None).0);
            stack_guard = Some(StackGuard { limit, hit });
        } else if let Some(pointer) = pointer.filter(|_| asyncify.is_some())
            && let Some(guard) = Guard::of(&parsed, pointer, &scan.writes.lowerings)
            && let Some(sections) = guard.sections(wasm, &parsed, &scan.writes.lowerings)?
        {
            replaced = sections;
            let limit = exports.global(guard.limit, Some(guard::LIMIT)).0;
            let hit = exports.global(guard.hit, Some(guard::HIT)).0;
            stack_guard = Some(StackGuard { limit, hit });
        }
        let stack_pointer = match found {
            stack_pointer::Found::Global(index, by) => {
                StackPointer::Found { export: export_of(index).unwrap_or_default(), by }
            }
            stack_pointer::Found::Absent => StackPointer::Absent,
            stack_pointer::Found::Uncertain(reason) => StackPointer::Uncertain { reason },
        };
        let asyncify = asyncify.map(|asyncify| {
            let function = |role| asyncify.export(role).map(str::to_owned);
            Instrumentation {
                state: export_of(asyncify.globals.state).unwrap_or_default(),
                data: export_of(asyncify.globals.data).unwrap_or_default(),
                start_unwind: function(Role::StartUnwind),
                stop_unwind: function(Role::StopUnwind),
                start_rewind: function(Role::StartRewind),
                stop_rewind: function(Role::StopRewind),
                get_state: function(Role::GetState),
                sealed: scan.sealed,
            }
        });
        let was_prepared = parsed.exports.iter().any(|export| build::is_name(export.name));
        if !was_prepared {
            exports.build(&parsed);
        }
        let is_moved = replaced.contains_key(&sections::CODE);
        replaced.extend(exports.section(wasm, &parsed)?.map(|section| (sections::EXPORT, section)));
        let is_stale = |name: &str| is_moved && guard::is_stale(name);
        let mut wasm = sections::rebuild(wasm, &parsed, replaced, is_stale)?;
        let build = if was_prepared { build::read(&wasm)? } else { build::write(&mut wasm)? };
        exports.rename_build(build.as_deref());
        let findings = Findings {
            build,
            asyncify,
            pointer_width: parsed.width(),
            memory,
            stack_pointer,
            stack_size,
            constants: parsed.data.iter().cloned().collect(),
            stack_bounds: bounds.map(|bounds| (bounds.start, bounds.end)),
            stack_guard,
            allocator: allocator::find(&parsed),
            initializer: initializer(&parsed),
            collector: collector::find(&parsed).map(str::to_owned),
            mutable_globals,
            added_exports: exports.added(),
            callers: scan.callers,
            instrumented: scan.instrumented,
            scheduling: scan.scheduling,
            tables: scan.tables,
        };
        Ok(Self { wasm, findings })
    }

    /// The prepared module, in the binary format.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// assert!(prepared.wasm().starts_with(b"\0asm"));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// What was found.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// assert!(prepared.findings().memory().is_some());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    pub(super) fn into_findings(self) -> Findings {
        self.findings
    }

    /// Module and findings as bytes, to be kept.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (memory 1))"#)?;
    /// assert_eq!(Prepared::from_bytes(&prepared.to_bytes())?, prepared);
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let findings = self.findings.to_bytes();
        let length = u64::try_from(findings.len()).unwrap_or(u64::MAX);
        [MAGIC, &length.to_le_bytes(), &findings, &self.wasm].concat()
    }

    /// What [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::StalePrepared`] if the bytes are something else, if another version wrote them, or if
    /// module and findings are not of one build.
    ///
    /// ```
    /// # use asyncify::{Error, Prepared};
    /// assert!(matches!(Prepared::from_bytes(b"else"), Err(Error::StalePrepared { .. })));
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| stale("these are no prepared module of this version"))?;
        let (findings, wasm) = rest
            .split_first_chunk()
            .and_then(|(length, rest)| {
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
            })
            .ok_or_else(|| stale("the bytes end in the middle"))?;
        let findings = Findings::from_bytes(findings)?;
        match build::read(wasm) {
            Ok(build) if build == findings.build => Ok(Self { wasm: wasm.to_vec(), findings }),
            _ => Err(stale("module and findings are not of one build")),
        }
    }
}

fn refuse(other: Option<String>) -> Result<()> {
    other.map_or(Ok(()), |other| Err(parse::invalid(other)))
}

#[cfg(feature = "wat")]
pub(super) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    wat::parse_bytes(bytes).map_err(parse::invalid)
}

#[cfg(not(feature = "wat"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature with and without the feature")]
pub(super) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    Ok(Cow::Borrowed(bytes))
}

fn check_memory(parsed: &Parsed<'_>) -> Result<()> {
    if parsed.memories.len() > 1 {
        let count = u32::try_from(parsed.memories.len()).unwrap_or(u32::MAX);
        return Err(Error::SeveralMemories { count });
    }
    if parsed.memories.iter().any(|memory| memory.ty.shared) {
        return Err(Error::SharedMemory);
    }
    Ok(())
}

/// The two globals that an earlier preparation added to guard the shadow stack: one after the other,
/// behind whatever else of the module's has such names.
fn guarded(parsed: &Parsed<'_>, asyncify: Option<&Asyncify<'_>>) -> Option<[u32; 2]> {
    let fits = |index: u32| {
        parsed.global(index).is_some_and(|global| {
            global.ty.mutable
                && global.ty.content_type == parsed.width().value_type()
                && global.import.is_none()
                && !asyncify.is_some_and(|asyncify| asyncify.globals.contains(index))
        })
    };
    let last = |wanted| {
        let exported = parsed.exported(ExternalKind::Global);
        let named = exported.filter(|(name, _)| exports::is_added_as(name, wanted));
        named.map(|(_, index)| index).filter(|index| fits(*index)).max()
    };
    let (limit, hit) = (last(guard::LIMIT)?, last(guard::HIT)?);
    (limit.checked_add(1) == Some(hit)).then_some([limit, hit])
}

/// Every mutable global with an export, added where the module has none.
fn mutable_globals<'a>(
    parsed: &Parsed<'a>,
    asyncify: Option<&Asyncify<'a>>,
    stack_pointer: &stack_pointer::Found,
    guarded: Option<[u32; 2]>,
    exports: &mut Exports<'a>,
) -> Vec<MutableGlobal> {
    let wanted = |index| match stack_pointer {
        _ if asyncify.is_some_and(|asyncify| asyncify.globals.state == index) => Some(STATE),
        _ if asyncify.is_some_and(|asyncify| asyncify.globals.data == index) => Some(DATA),
        // One that was told by other means keeps its number: a name would make the same module
        // look surer of itself when it is prepared once more.
        stack_pointer::Found::Global(found, FoundBy::Name(_)) if *found == index => {
            Some("__stack_pointer")
        }
        _ => None,
    };
    let is_added = |index: u32| guarded.is_some_and(|guarded| guarded.contains(&index));
    let globals = parsed.indexed_globals();
    let mutable = globals.filter(|(index, global)| global.ty.mutable && !is_added(*index));
    mutable
        .map(|(index, global)| {
            let (export, others) = exports.global(index, wanted(index));
            let named = parsed.global_names.get(&index).copied();
            let imported = global.import.map(|(_, name)| name);
            MutableGlobal {
                index,
                export,
                aliases: others
                    .iter()
                    .copied()
                    .chain(named)
                    .chain(imported)
                    .map(str::to_owned)
                    .collect(),
                kind: kind(global.ty.content_type),
            }
        })
        .collect()
}

fn kind(ty: ValType) -> GlobalKind {
    match ty {
        ValType::I32 => GlobalKind::I32,
        ValType::I64 => GlobalKind::I64,
        ValType::F32 => GlobalKind::F32,
        ValType::F64 => GlobalKind::F64,
        ValType::V128 => GlobalKind::V128,
        ValType::Ref(_) => GlobalKind::Ref,
    }
}

fn initializer(parsed: &Parsed<'_>) -> Option<String> {
    ["_initialize", "__wasm_call_ctors"].into_iter().find_map(|name| {
        let function = parsed.exported_function(name)?;
        parsed.has_type(function, &[], &[]).then(|| name.to_owned())
    })
}
