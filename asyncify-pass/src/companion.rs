//! The companion: the function once more, entered at a site and not at its beginning.
//!
//! It is called for a frame, restores what that holds, and goes on behind the site. A *region* is the
//! function, or a loop or `try_table` in which a site stands. Other constructs with sites are laid
//! flat in their region: all their labels open at its beginning, in the order of their ends, among
//! those of the sites, and one `br_table` leads to where the call goes on.
//!
//! ```wat
//! block $exit
//!   block $finish
//!     ;; restore the site's values
//!     block $end-of-a-block
//!       block $site-1
//!         block $site-0
//!           (br_table $site-0 $site-1 $exit (local.get $site))
//!         end
//!         ;; the code behind site 0, up to the call of site 1; operands go into locals
//!       end
//!       ;; the code behind site 1
//!     end
//!     ;; results into locals
//!   end
//!   ;; results into globals
//! end
//! ```
//!
//! So wherever labels end nothing is on the operand stack: operands below a construct with sites, and
//! at each site, are in locals.

mod branch;
mod construct;
mod label;
mod tail;

use wasm_encoder::{BlockType, InstructionSink};
use wasmparser::{Operator, ValType};

use crate::added::{Added, is_non_null};
use crate::body::{Function, get, locals};
use crate::error::{Error, Result};
use crate::frame::Spills;
use crate::live::construct_ends;
use crate::scanned::{Kind, Site, SiteKind};
use label::{Label, Labels, Regions};

pub(crate) struct Companion<'c, 'f, 'a> {
    function: &'c Function<'f, 'a>,
    added: &'c mut Added,
    spills: &'c mut Spills,
    code: Vec<u8>,
    labels: Labels,
    regions: Regions,
    /// Whether nothing leads to where the code stands.
    dead: bool,
    tails: Vec<usize>,
}

/// The body of a function's companion, with its locals.
pub(crate) fn companion(
    function: &Function<'_, '_>,
    added: &mut Added,
    spills: &mut Spills,
) -> Result<Vec<u8>> {
    let scanned = function.scanned;
    let tails = scanned.ops.iter().enumerate().filter(|(at, op)| {
        let is_site = || scanned.returns_at(*at);
        !op.dead
            && matches!(
                op.operator,
                Operator::ReturnCall { .. }
                    | Operator::ReturnCallIndirect { .. }
                    | Operator::ReturnCallRef { .. }
            )
            && !is_site()
    });
    let mut companion = Companion {
        function,
        code: Vec::new(),
        labels: Labels::default(),
        regions: Regions::new(scanned)?,
        dead: true,
        tails: tails.map(|(at, _)| at).collect(),
        added,
        spills,
    };
    companion.open(Label::Exit, BlockType::Empty);
    companion.open(Label::Finish, BlockType::Empty);
    for tail in companion.tails.clone().into_iter().rev() {
        companion.open(Label::Tail(tail), BlockType::Empty);
    }
    companion.restore()?;
    companion.enter_region(0)?;
    companion.ops()?;
    companion.finish()?;
    let mut whole = Vec::new();
    let mut all: Vec<_> = scanned.locals.iter().map(|ty| crate::added::nullable(*ty)).collect();
    all.extend_from_slice(&companion.spills.types);
    companion.spills.check(scanned)?;
    locals(&mut whole, 0, &[], &all)?;
    whole.extend_from_slice(&companion.code);
    Ok(whole)
}

impl Companion<'_, '_, '_> {
    fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    fn open(&mut self, label: Label, ty: BlockType) {
        self.sink().block(ty);
        self.labels.push(label);
    }

    fn close(&mut self, label: Label) -> Result<()> {
        self.labels.pop(label)?;
        self.sink().end();
        self.dead = false;
        Ok(())
    }

    fn br(&mut self, label: Label) -> Result<()> {
        let depth = self.labels.depth(label)?;
        self.sink().br(depth);
        Ok(())
    }

    /// Loads the values of the frame's site into their locals.
    fn restore(&mut self) -> Result<()> {
        let (frame, site) = (self.spills.frame, self.spills.site);
        let (memory, at) = (self.added.at(4, 1), self.added.frame);
        let count = u32::try_from(self.function.scanned.sites.len()).unwrap_or(u32::MAX);
        self.open(Label::Aux, BlockType::Empty);
        for _ in 0..count {
            self.open(Label::Aux, BlockType::Empty);
        }
        self.sink().global_get(at).local_tee(frame).i32_load16_u(memory).local_set(site);
        self.sink().local_get(site).br_table(0..count, count);
        for index in 0..count as usize {
            self.close(Label::Aux)?;
            let function = self.function;
            function.check(self.code.len())?;
            let layout = function.layouts.get(index).ok_or_else(|| Error::internal("a frame"))?;
            for saved in &layout.saved {
                let mut code = InstructionSink::new(&mut self.code);
                self.added.load(&mut code, frame, saved.offset, saved.local, saved.ty)?;
            }
            let site =
                function.scanned.sites.get(index).ok_or_else(|| Error::internal("a site"))?;
            self.restore_results(site);
            // To where all of these end.
            let rest = u32::try_from(count as usize - index - 1).unwrap_or(u32::MAX);
            self.sink().br(rest);
        }
        self.close(Label::Aux)?;
        self.dead = true;
        Ok(())
    }

    /// The results of the call that the site made are in globals; a lone number that an import
    /// answers comes as bits.
    fn restore_results(&mut self, site: &Site) {
        let base = site.base + if site.returns { 0 } else { site.operands.len() };
        let answer = self.added.answer;
        for (place, ty) in site.results.iter().enumerate() {
            let global = self.added.result(*ty, place);
            let mut code = InstructionSink::new(&mut self.code);
            match (site.kind, site.results.as_slice()) {
                (SiteKind::Import, [ValType::I32]) => code.global_get(answer).i32_wrap_i64(),
                (SiteKind::Import, [ValType::I64]) => code.global_get(answer),
                (SiteKind::Import, [ValType::F32]) => {
                    code.global_get(answer).i32_wrap_i64().f32_reinterpret_i32()
                }
                (SiteKind::Import, [ValType::F64]) => code.global_get(answer).f64_reinterpret_i64(),
                _ => code.global_get(global),
            };
            let local = self.spills.operand(base + place, *ty);
            self.sink().local_set(local);
        }
    }

    /// Opens all labels of a region, and leads to the site that is to be entered.
    fn enter_region(&mut self, region: usize) -> Result<()> {
        for label in self.regions.labels(region).to_vec() {
            self.open(label, BlockType::Empty);
        }
        let is_function = region == 0;
        if !is_function {
            self.open(Label::Start, BlockType::Empty);
        }
        let (first, ways) = self.regions.ways(region);
        let otherwise = if is_function { Label::Exit } else { Label::Start };
        let otherwise = self.labels.depth(otherwise)?;
        let mut depths = Vec::with_capacity(ways.len());
        for way in ways.iter().copied() {
            depths.push(self.labels.depth(way)?);
        }
        let site = self.spills.site;
        let first = i32::try_from(first).unwrap_or(i32::MAX);
        self.sink().local_get(site).i32_const(first).i32_sub();
        self.sink().br_table(depths, otherwise);
        self.dead = true;
        if !is_function {
            self.close(Label::Start)?;
        }
        Ok(())
    }

    fn ops(&mut self) -> Result<()> {
        let scanned = self.function.scanned;
        let ends = construct_ends(scanned);
        let mut opens = vec![None; scanned.ops.len()];
        for (index, construct) in scanned.constructs.iter().enumerate().skip(1) {
            if let Some(open) = opens.get_mut(construct.open) {
                *open = Some(index);
            }
        }
        let mut sites = scanned.sites.iter().enumerate().peekable();
        let mut at = 0;
        while let Some(op) = scanned.ops.get(at) {
            self.function.check(self.code.len())?;
            while let Some((index, site)) =
                sites.next_if(|(_, site)| site.at == at && site.kind == SiteKind::Yield)
            {
                self.site(index, site)?;
            }
            let opened = opens.get(at).copied().flatten();
            let ended = ends.get(at).copied().flatten();
            let call = sites.next_if(|(_, site)| site.at == at);
            let next = if let Some(opened) = opened {
                let construct = scanned.construct(opened)?;
                if op.dead || self.dead && !construct.has_sites {
                    // No site stands in there.
                    construct.end + 1
                } else {
                    self.open_construct(opened, op)?;
                    at + 1
                }
            } else if let Some(ended) = ended {
                self.end_construct(ended, op.dead)?;
                at + 1
            } else if matches!(op.operator, Operator::Else) {
                self.otherwise(op.construct, op.dead)?;
                at + 1
            } else {
                if !op.dead && !self.dead {
                    self.plain(at, op)?;
                }
                at + 1
            };
            if let Some((index, site)) = call {
                self.site(index, site)?;
                if site.returns {
                    self.leave_to(0)?;
                }
            }
            while sites.next_if(|(_, site)| site.at < next.saturating_sub(1)).is_some() {}
            at = next;
        }
        Ok(())
    }

    /// A site: all operands go into locals, where they are found from either side.
    fn site(&mut self, index: usize, site: &Site) -> Result<()> {
        let operands: &[ValType] = if site.returns { &[] } else { &site.operands };
        let all: Vec<_> = operands.iter().chain(&site.results).copied().collect();
        let locals: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(place, ty)| self.spills.operand(site.base + place, *ty))
            .collect();
        if !self.dead {
            for local in locals.iter().rev() {
                self.sink().local_set(*local);
            }
            let exit = self.labels.depth(Label::Exit)? + 1;
            let function = self.function;
            let mut code = InstructionSink::new(&mut self.code);
            Function::ask(&mut code, self.added, site.kind);
            code.if_(BlockType::Empty);
            Function::set_state(&mut code, self.added, site.kind);
            function.write_frame(&mut code, self.added, self.spills, index)?;
            code.br(exit).end();
            if site.returns {
                // Operands below a tail call are of no use any more, and stay behind.
                self.br(Label::Land(index))?;
            }
        }
        self.close(Label::Land(index))?;
        let (local, exn) = (self.spills.site, self.added.exn);
        let mut code = self.sink();
        code.i32_const(-1).local_set(local);
        if let Some(exn) = exn {
            let null = wasm_encoder::HeapType::Abstract {
                shared: false,
                ty: wasm_encoder::AbstractHeapType::Exn,
            };
            code.global_get(exn).ref_is_null().i32_eqz().if_(BlockType::Empty);
            code.global_get(exn).ref_null(null).global_set(exn).throw_ref().end();
        }
        for (local, ty) in locals.iter().zip(&all) {
            get(&mut code, *local, *ty);
        }
        Ok(())
    }

    /// An operator that opens and ends no construct.
    fn plain(&mut self, at: usize, op: &crate::scanned::Op<'_>) -> Result<()> {
        let locals = &self.function.scanned.locals;
        match &op.operator {
            Operator::LocalGet { local_index } | Operator::LocalTee { local_index } => {
                let non_null = locals.get(*local_index as usize).is_some_and(|ty| is_non_null(*ty));
                self.copy(op)?;
                if non_null {
                    self.sink().ref_as_non_null();
                }
                Ok(())
            }
            Operator::ReturnCall { function_index } if self.function.scanned.returns_at(at) => {
                let import = *function_index;
                self.sink().call(import);
                Ok(())
            }
            _ => self.branching(at, op),
        }
    }

    fn copy(&mut self, op: &crate::scanned::Op<'_>) -> Result<()> {
        let bytes = self.function.bytes(op)?;
        self.code.extend_from_slice(bytes);
        Ok(())
    }

    /// The end of all: results go from locals into globals.
    fn finish(&mut self) -> Result<()> {
        for tail in self.tails.clone() {
            self.close(Label::Tail(tail))?;
            self.tail_call(tail)?;
        }
        self.close(Label::Finish)?;
        let results = self.function.scanned.construct(0)?.results.clone();
        for (place, ty) in results.iter().enumerate() {
            let local = self.spills.label(0, place, *ty, false);
            let global = self.added.result(*ty, place);
            self.sink().local_get(local).global_set(global);
        }
        self.close(Label::Exit)?;
        self.sink().end();
        Ok(())
    }

    fn kind(&self, construct: usize) -> Result<(Kind, bool)> {
        let construct = self.function.scanned.construct(construct)?;
        Ok((construct.kind, construct.has_sites))
    }
}
