//! Code that cannot run over the end of its shadow stack.
//!
//! Two globals are added behind the module's own, so that no index of it changes: `limit`, the
//! lowest address that the running call may lower the stack pointer to, and `hit`, the address that
//! it wanted when it was stopped. Each write that may lower the pointer is compared with the limit
//! before anything is written below it:
//!
//! ```wat
//! ;; Input: a frame of 32 bytes, one of another size, and a value that may be anything
//! (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 32))))
//! (global.set $sp (local.tee $array (i32.sub (global.get $sp) (local.get $size))))
//! (global.set $sp (local.get $new))
//!
//! ;; Output
//! (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 32))))
//! (if (i32.ge_u (i32.sub (global.get $sp) (global.get $limit)) (i32.const -32))
//!   (then (global.set $hit (global.get $sp))
//!         (global.set $sp (i32.add (global.get $sp) (i32.const 32))) unreachable))
//!
//! (local.tee $wanted (local.tee $array (i32.sub (global.get $sp) (local.get $size))))
//! (if (i32.lt_u (i32.sub (global.get $sp) (global.get $limit))
//!               (i32.sub (global.get $sp) (local.get $wanted)))
//!   (then (global.set $hit (local.get $wanted)) unreachable))
//! (global.set $sp)
//!
//! (local.tee $wanted (local.get $new))
//! (if (i32.lt_u (global.get $limit))
//!   (then (if (i32.ge_u (global.get $sp) (global.get $limit))
//!     (then (global.set $hit (local.get $wanted)) unreachable))))
//! (global.set $sp (local.get $wanted))
//! ```
//!
//! The first is the one that runs often. It looks at the new value alone, so that the old one need
//! not be kept in a register for it.
//!
//! The first two also see a pointer that would wrap around; in the third, what is higher than the
//! pointer gives room back. All let be who is below the limit already: a guest that switches to a
//! stack of its own is there on purpose. Writes of values that
//! come from elsewhere, as a parameter or a load, switch stacks or give one back, and are not
//! compared at all.

use wasm_encoder::{Encode, InstructionSink};
use wasmparser::{BinaryReader, FunctionBody};

use super::parse::{Parsed, invalid};
use super::sections::{self, Replaced};
use super::writes::{By, Lowering};
use super::{GlobalKind, PointerWidth};
use crate::error::Result;

/// What the two globals are exported as.
pub(super) const LIMIT: &str = "asyncify:stack:limit";
pub(super) const HIT: &str = "asyncify:stack:hit";

/// An engine takes no more locals.
const MOST_LOCALS: u32 = 50_000;
/// Nor a longer function.
const LONGEST: usize = 7_654_321;

/// Whether a custom section tells of places in the code, which move, or is of use to a linker only.
pub(super) fn is_stale(section: &str) -> bool {
    section.starts_with(".debug_")
        || section.starts_with("reloc.")
        || section.starts_with("metadata.code.")
        || ["linking", "sourceMappingURL", "external_debug_info"].contains(&section)
}

/// The indices of what the code is checked by.
#[derive(Clone, Copy)]
pub(super) struct Guard {
    pub(super) pointer: u32,
    pub(super) limit: u32,
    pub(super) hit: u32,
}

impl Guard {
    /// The globals that are to be added to guard `pointer`, if there is anything to guard.
    pub(super) fn of(parsed: &Parsed<'_>, pointer: u32, lowerings: &[Lowering]) -> Option<Self> {
        let limit = u32::try_from(parsed.globals.len()).ok()?;
        let hit = limit.checked_add(1)?;
        lowerings.iter().any(|lowering| lowering.global == pointer).then_some(Self {
            pointer,
            limit,
            hit,
        })
    }

    /// The sections that change: the two globals, and the code.
    pub(super) fn sections(
        self,
        wasm: &[u8],
        parsed: &Parsed<'_>,
        lowerings: &[Lowering],
    ) -> Result<Option<Replaced>> {
        let Some(code) = self.code(wasm, parsed, lowerings)? else {
            return Ok(None);
        };
        let ty = wasm_encoder::GlobalType {
            val_type: val_type(parsed.width()),
            mutable: true,
            shared: false,
        };
        let mut globals = Vec::new();
        for start in [0, UNTOUCHED] {
            ty.encode(&mut globals);
            constant(&mut InstructionSink::new(&mut globals), parsed.width(), start).end();
        }
        let globals = sections::extended(wasm, parsed, sections::GLOBAL, 2, &globals)?;
        Ok(Some(Replaced::from([(sections::GLOBAL, globals), (sections::CODE, code)])))
    }

    /// The code section, with every lowering checked; nothing if a function would grow too large.
    fn code(
        self,
        wasm: &[u8],
        parsed: &Parsed<'_>,
        lowerings: &[Lowering],
    ) -> Result<Option<Vec<u8>>> {
        let mut code = Vec::with_capacity(wasm.len().saturating_add(wasm.len() / 8));
        parsed.bodies.len().encode(&mut code);
        let mut rest: Vec<_> =
            lowerings.iter().filter(|lowering| lowering.global == self.pointer).collect();
        rest.reverse();
        let mut sites = Vec::new();
        for (position, body) in parsed.bodies.iter().enumerate() {
            sites.clear();
            while let Some(site) = rest.pop_if(|site| site.body == position) {
                sites.push(*site);
            }
            if sites.is_empty() {
                slice(wasm, body.range())?.encode(&mut code);
                continue;
            }
            match self.body(wasm, parsed, position, body, &sites)? {
                Some(body) => body.as_slice().encode(&mut code),
                None => return Ok(None),
            }
        }
        Ok(Some(code))
    }

    fn body(
        self,
        wasm: &[u8],
        parsed: &Parsed<'_>,
        position: usize,
        body: &FunctionBody<'_>,
        sites: &[Lowering],
    ) -> Result<Option<Vec<u8>>> {
        let mut changed = Vec::with_capacity(body.range().len() + sites.len() * 32);
        let mut from = body.range().start;
        let mut wanted = 0;
        if sites.iter().any(|site| !matches!(site.by, By::Constant(_))) {
            let function = u32::try_from(parsed.imports.len() + position).unwrap_or(u32::MAX);
            let params = parsed.function_type(function).map_or(0, |ty| ty.params().len());
            let locals = Locals::of(wasm, body)?;
            let free =
                u32::try_from(params).ok().and_then(|params| locals.count.checked_add(params));
            let Some(free) = free.filter(|free| *free < MOST_LOCALS) else {
                return Ok(None);
            };
            wanted = free;
            locals.groups.saturating_add(1).encode(&mut changed);
            changed.extend_from_slice(slice(wasm, locals.first..locals.end)?);
            1_u32.encode(&mut changed);
            val_type(parsed.width()).encode(&mut changed);
            from = locals.end;
        }
        for site in sites {
            // What is lowered by a constant is compared behind the write, the others before it.
            let to = match site.by {
                By::Constant(_) => end_of_write(wasm, site.at)?,
                By::Size | By::Unknown => site.at,
            };
            changed.extend_from_slice(slice(wasm, from..to)?);
            self.check(&mut InstructionSink::new(&mut changed), parsed.width(), site.by, wanted);
            from = to;
        }
        changed.extend_from_slice(slice(wasm, from..body.range().end)?);
        Ok(Some(changed).filter(|changed| changed.len() <= LONGEST))
    }

    /// Compares what the pointer is, or is about to be, with the limit.
    fn check(self, code: &mut InstructionSink<'_>, width: PointerWidth, by: By, wanted: u32) {
        let Self { pointer, limit, hit } = self;
        let is_32 = width.kind() == GlobalKind::I32;
        let block = wasm_encoder::BlockType::Empty;
        match by {
            By::Constant(by) => {
                code.global_get(pointer).global_get(limit);
                let code = if is_32 { code.i32_sub() } else { code.i64_sub() };
                let code = constant(code, width, -by);
                let code = if is_32 { code.i32_ge_u() } else { code.i64_ge_u() };
                code.if_(block).global_get(pointer).global_set(hit);
                // Whoever lives on has the pointer where it was.
                let code = constant(code.global_get(pointer), width, by);
                let code = if is_32 { code.i32_add() } else { code.i64_add() };
                code.global_set(pointer).unreachable().end();
            }
            By::Size => {
                code.local_tee(wanted).global_get(pointer).global_get(limit);
                let code = if is_32 { code.i32_sub() } else { code.i64_sub() };
                code.global_get(pointer).local_get(wanted);
                let code = if is_32 { code.i32_sub() } else { code.i64_sub() };
                let code = if is_32 { code.i32_lt_u() } else { code.i64_lt_u() };
                code.if_(block).local_get(wanted).global_set(hit).unreachable().end();
            }
            By::Unknown => {
                code.local_tee(wanted).global_get(limit);
                let code = if is_32 { code.i32_lt_u() } else { code.i64_lt_u() };
                let code = code.if_(block).global_get(pointer).global_get(limit);
                let code = if is_32 { code.i32_ge_u() } else { code.i64_ge_u() };
                code.if_(block).local_get(wanted).global_set(hit).unreachable().end().end();
                code.local_get(wanted);
            }
        }
    }
}

/// What `hit` holds while nothing was stopped: no stack pointer is odd.
pub(super) const UNTOUCHED: i64 = -1;

/// Where a function declares its locals.
struct Locals {
    groups: u32,
    count: u32,
    first: usize,
    end: usize,
}

impl Locals {
    fn of(wasm: &[u8], body: &FunctionBody<'_>) -> Result<Self> {
        let range = body.range();
        let mut reader = BinaryReader::new(slice(wasm, range.clone())?, range.start);
        let groups = reader.read_var_u32().map_err(invalid)?;
        let first = reader.original_position();
        let mut count = 0_u32;
        for group in body.get_locals_reader().map_err(invalid)? {
            let (more, _) = group.map_err(invalid)?;
            count = count.saturating_add(more);
        }
        let end = body.get_operators_reader().map_err(invalid)?.original_position();
        Ok(Self { groups, count, first, end })
    }
}

/// Where the `global.set` ends that begins at `at`.
fn end_of_write(wasm: &[u8], at: usize) -> Result<usize> {
    let mut reader = BinaryReader::new(slice(wasm, at..wasm.len())?, at);
    reader.read_u8().map_err(invalid)?;
    reader.read_var_u32().map_err(invalid)?;
    Ok(reader.original_position())
}

fn val_type(width: PointerWidth) -> wasm_encoder::ValType {
    match width {
        PointerWidth::Memory32 => wasm_encoder::ValType::I32,
        PointerWidth::Memory64 => wasm_encoder::ValType::I64,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "what is compared is at most a frame's size")]
fn constant<'c, 's>(
    code: &'c mut InstructionSink<'s>,
    width: PointerWidth,
    value: i64,
) -> &'c mut InstructionSink<'s> {
    match width {
        PointerWidth::Memory32 => code.i32_const(value as i32),
        PointerWidth::Memory64 => code.i64_const(value),
    }
}

fn slice(wasm: &[u8], range: std::ops::Range<usize>) -> Result<&[u8]> {
    wasm.get(range).ok_or_else(|| invalid("a function lies outside the module"))
}
