//! The function itself: its code as it was, and behind each site a way out that is seldom taken.
//!
//! ```wat
//! block $leave
//!   block $body (result …)
//!     ;; the code, byte for byte; and behind each call that may suspend:
//!     (if (param operands… results…) (result operands… results…) (global.get $state)
//!       (then drop the results, keep the operands, write the frame, br $leave))
//!   end
//!   return
//! end
//! ;; results that mean nothing
//! ```
//!
//! Nothing stands at its entry. Operands go through the `if` as its parameters, so that nothing is
//! kept on the way that is taken often.

use wasm_encoder::{BlockType, Encode, InstructionSink};
use wasmparser::{AbstractHeapType, HeapType, Operator, RefType, ValType};

use crate::added::{Added, encoded, is_non_null, zero};
use crate::error::{Error, Result};
use crate::frame::{Layout, Spills};
use crate::module::Module;
use crate::run::LONGEST;
use crate::scanned::{Construct, Kind, Op, Scanned, Site, SiteKind};

/// An engine takes no type of more parameters.
const MOST_OPERANDS: usize = 1_000;

/// What all steps of one function use.
pub(crate) struct Function<'f, 'a> {
    pub(crate) module: &'f Module<'a>,
    pub(crate) scanned: &'f Scanned<'a>,
    pub(crate) layouts: &'f [Layout],
    /// The companion's place among them.
    pub(crate) companion: u32,
}

impl Function<'_, '_> {
    pub(crate) fn bytes(&self, op: &Op<'_>) -> Result<&[u8]> {
        self.module.bytes.get(op.start..op.end).ok_or_else(|| Error::internal("an operator"))
    }

    /// Refuses a function that has become too long: asked again and again while one is written, so
    /// that it does not become much longer.
    pub(crate) fn check(&self, length: usize) -> Result<()> {
        if length > LONGEST {
            let at = self.scanned.ops.first().map_or(0, |op| op.start);
            let function = Some(self.scanned.function);
            return Err(Error::unsupported("a function of this length", function, at));
        }
        Ok(())
    }

    /// Writes the frame of a site from the function's locals, once all it holds is in them.
    pub(crate) fn write_frame(
        &self,
        code: &mut InstructionSink<'_>,
        added: &mut Added,
        spills: &Spills,
        site: usize,
    ) -> Result<()> {
        let layout = self.layouts.get(site).ok_or_else(|| Error::internal("a frame"))?;
        let frame = spills.frame;
        code.i32_const(layout.size.cast_signed()).call(added.push).local_set(frame);
        for saved in &layout.saved {
            added.store(code, frame, saved.offset, saved.local, saved.ty)?;
        }
        let number = u64::try_from(site).unwrap_or(u64::MAX);
        let head = u64::from(self.companion) | number << 32 | u64::from(layout.size / 8) << 48;
        code.local_get(frame).i64_const(head.cast_signed()).i64_store(added.at(0, 3));
        Ok(())
    }

    /// Asks whether the site is to be left. An import that is pending is told of in the frame
    /// memory; from there on it is the state that tells.
    pub(crate) fn ask(code: &mut InstructionSink<'_>, added: &Added, kind: SiteKind) {
        match kind {
            SiteKind::Call => code.global_get(added.state),
            SiteKind::Import => code.i32_const(0).i32_load(added.at(0, 2)),
            SiteKind::Yield => code
                .global_get(added.yields)
                .i32_const(1)
                .i32_sub()
                .global_set(added.yields)
                .global_get(added.yields)
                .i32_eqz(),
        };
    }

    /// The state, once it is clear that the site is left.
    pub(crate) fn set_state(code: &mut InstructionSink<'_>, added: &Added, kind: SiteKind) {
        if kind == SiteKind::Import {
            code.i32_const(0).i32_const(0).i32_store(added.at(0, 2));
        }
        if kind != SiteKind::Call {
            code.i32_const(1).global_set(added.state);
        }
    }
}

/// A function's body.
pub(crate) struct Whole {
    /// Its locals and its code.
    pub(crate) bytes: Vec<u8>,
    /// Where in there an `if` stands that is seldom taken.
    pub(crate) seldom: Vec<u32>,
}

/// The function's body, with its locals.
pub(crate) fn body(
    function: &Function<'_, '_>,
    added: &mut Added,
    spills: &mut Spills,
    declared: &[u8],
    groups: u32,
) -> Result<Whole> {
    let scanned = function.scanned;
    let (mut bytes, mut seldom) = (Vec::new(), Vec::new());
    let results = &scanned.construct(0)?.results;
    let leaving = added.types.leaving(results)?;
    InstructionSink::new(&mut bytes).block(BlockType::Empty).block(leaving);
    let mut sites = scanned.sites.iter().enumerate().peekable();
    let mut opened = scanned.constructs.iter().skip(1).peekable();
    // Constructs that are open within the body.
    let mut depth = 0_u32;
    for (at, op) in scanned.ops.iter().enumerate() {
        function.check(bytes.len())?;
        while let Some((index, site)) =
            sites.next_if(|(_, site)| site.at == at && site.kind == SiteKind::Yield)
        {
            seldom.push(leave(function, &mut bytes, added, spills, (index, site), depth)?);
        }
        let construct = opened.next_if(|construct| construct.open == at);
        if let Some(construct) = construct.filter(|construct| construct.has_sites) {
            keep(&mut InstructionSink::new(&mut bytes), construct, spills);
        }
        let here = sites.next_if(|(_, site)| site.at == at);
        match (&op.operator, here) {
            (Operator::ReturnCall { function_index }, Some((_, site))) if site.returns => {
                InstructionSink::new(&mut bytes).call(*function_index);
            }
            _ => bytes.extend_from_slice(function.bytes(op)?),
        }
        if construct.is_some() {
            depth += 1;
        } else if matches!(op.operator, Operator::End) {
            depth = depth.saturating_sub(1);
        }
        if let Some((index, site)) = here {
            seldom.push(leave(function, &mut bytes, added, spills, (index, site), depth)?);
            if site.returns {
                InstructionSink::new(&mut bytes).return_();
            }
        }
    }
    let mut code = InstructionSink::new(&mut bytes);
    // The last `end` closed the block of the body.
    code.return_().end();
    for result in results {
        nothing(function, &mut code, *result)?;
    }
    code.end();
    spills.check(scanned)?;
    let mut whole = Vec::with_capacity(bytes.len() + declared.len() + 16);
    locals(&mut whole, groups, declared, &spills.types)?;
    let before = u32::try_from(whole.len()).unwrap_or(u32::MAX);
    for at in &mut seldom {
        *at += before;
    }
    whole.extend_from_slice(&bytes);
    Ok(Whole { bytes: whole, seldom })
}

/// Declares a function's own locals, and what is added.
pub(crate) fn locals(
    bytes: &mut Vec<u8>,
    groups: u32,
    declared: &[u8],
    added: &[ValType],
) -> Result<()> {
    let mut runs: Vec<(u32, ValType)> = Vec::new();
    for ty in added {
        match runs.last_mut() {
            Some((count, last)) if last == ty => *count += 1,
            _ => runs.push((1, *ty)),
        }
    }
    (groups + u32::try_from(runs.len()).unwrap_or(u32::MAX)).encode(bytes);
    bytes.extend_from_slice(declared);
    for (count, ty) in runs {
        count.encode(bytes);
        encoded(ty)?.encode(bytes);
    }
    Ok(())
}

/// Copies the operands below a construct into locals: inside it they are out of reach.
fn keep(code: &mut InstructionSink<'_>, construct: &Construct, spills: &mut Spills) {
    if construct.below.is_empty() {
        return;
    }
    if construct.kind == Kind::If {
        code.local_set(spills.chosen);
    }
    let base = construct.height - construct.below.len();
    let all: Vec<_> = construct.below.iter().chain(&construct.params).copied().collect();
    let locals: Vec<_> =
        all.iter().enumerate().map(|(place, ty)| spills.operand(base + place, *ty)).collect();
    for local in locals.iter().rev() {
        code.local_set(*local);
    }
    for (local, ty) in locals.iter().zip(&all) {
        get(code, *local, *ty);
    }
    if construct.kind == Kind::If {
        code.local_get(spills.chosen);
    }
}

/// A value from a local that may hold null where the value may not be.
pub(crate) fn get(code: &mut InstructionSink<'_>, local: u32, ty: ValType) {
    code.local_get(local);
    if is_non_null(ty) {
        code.ref_as_non_null();
    }
}

/// The way out of a site: where its `if` stands.
fn leave(
    function: &Function<'_, '_>,
    bytes: &mut Vec<u8>,
    added: &mut Added,
    spills: &mut Spills,
    (index, site): (usize, &Site),
    depth: u32,
) -> Result<u32> {
    let operands: &[ValType] = if site.returns { &[] } else { &site.operands };
    let carried: Vec<_> = operands.iter().chain(&site.results).copied().collect();
    if carried.len() > MOST_OPERANDS {
        let at = function.scanned.ops.get(site.at).map_or(0, |op| op.start);
        let number = Some(function.scanned.function);
        return Err(Error::unsupported("a call above so many operands", number, at));
    }
    let block = added.types.passing(&carried);
    Function::ask(&mut InstructionSink::new(bytes), added, site.kind);
    let seldom = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut code = InstructionSink::new(bytes);
    code.if_(block);
    for _ in &site.results {
        code.drop();
    }
    for (place, ty) in operands.iter().enumerate().rev() {
        code.local_set(spills.operand(site.base + place, *ty));
    }
    Function::set_state(&mut code, added, site.kind);
    function.write_frame(&mut code, added, spills, index)?;
    // Out of the `if`, the constructs that are open, and the body.
    code.br(depth + 2).end();
    Ok(seldom)
}

/// A result that nobody looks at.
fn nothing(function: &Function<'_, '_>, code: &mut InstructionSink<'_>, ty: ValType) -> Result<()> {
    match ty {
        ValType::Ref(reference) if !reference.is_nullable() => some(function, code, reference),
        ty => zero(code, ty),
    }
}

/// A reference that is not null.
fn some(
    function: &Function<'_, '_>,
    code: &mut InstructionSink<'_>,
    reference: RefType,
) -> Result<()> {
    let refused = || {
        let offset = function.scanned.ops.first().map_or(0, |op| op.start);
        let what = format!("a result of the type `{reference}`");
        Error::unsupported(&what, Some(function.scanned.function), offset)
    };
    match reference.heap_type() {
        HeapType::Abstract { shared: false, ty } => match ty {
            AbstractHeapType::I31 | AbstractHeapType::Eq | AbstractHeapType::Any => {
                code.i32_const(0).ref_i31();
            }
            AbstractHeapType::Extern => {
                code.i32_const(0).ref_i31().extern_convert_any();
            }
            AbstractHeapType::Func => {
                code.ref_func(function.scanned.function);
            }
            _ => return Err(refused()),
        },
        HeapType::Concrete(index) => {
            let index = index.as_module_index().ok_or_else(refused)?;
            let ty = function.module.subtype(index).ok_or_else(refused)?;
            match &ty.composite_type.inner {
                wasmparser::CompositeInnerType::Array(_) => {
                    code.array_new_fixed(index, 0);
                }
                wasmparser::CompositeInnerType::Struct(fields)
                    if fields.fields.iter().all(|field| match field.element_type {
                        wasmparser::StorageType::Val(ty) => !is_non_null(ty),
                        _ => true,
                    }) =>
                {
                    code.struct_new_default(index);
                }
                wasmparser::CompositeInnerType::Func(_) => {
                    let of = function.module.functions.iter().position(|ty| *ty == index);
                    let of = of.and_then(|of| u32::try_from(of).ok()).ok_or_else(refused)?;
                    code.ref_func(of);
                }
                _ => return Err(refused()),
            }
        }
        _ => return Err(refused()),
    }
    Ok(())
}
