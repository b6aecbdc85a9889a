//! Branches of a companion.

use wasm_encoder::BlockType;
use wasmparser::{Operator, RefType, ValType};

use super::Companion;
use super::label::Label;
use crate::added::{encoded, heap, nullable};
use crate::body::get;
use crate::error::{Error, Result};
use crate::scanned::{Kind, Op};

impl Companion<'_, '_, '_> {
    /// Whether a branch to the construct carries its values as operands.
    pub(super) fn is_direct(&self, construct: usize) -> Result<bool> {
        let (kind, has_sites) = self.kind(construct)?;
        Ok(construct != 0 && (!has_sites || kind == Kind::Try))
    }

    pub(super) fn label_of(&self, construct: usize) -> Result<Label> {
        let (kind, has_sites) = self.kind(construct)?;
        Ok(match kind {
            _ if construct == 0 => Label::Finish,
            Kind::Block | Kind::If if has_sites => Label::End(construct),
            _ => Label::Real(construct),
        })
    }

    /// What a branch to the construct carries.
    pub(super) fn carried(&self, construct: usize) -> Result<(Vec<ValType>, bool)> {
        let found = self.function.scanned.construct(construct)?;
        Ok(match found.kind {
            Kind::Loop => (found.params.clone(), true),
            _ => (found.results.clone(), false),
        })
    }

    /// The locals that carry it.
    pub(super) fn carriers(&mut self, construct: usize) -> Result<Vec<(u32, ValType)>> {
        let (types, is_param) = self.carried(construct)?;
        let spills = &mut *self.spills;
        let local =
            |(place, ty): (usize, &ValType)| (spills.label(construct, place, *ty, is_param), *ty);
        Ok(types.iter().enumerate().map(local).collect())
    }

    pub(super) fn set_all(&mut self, locals: &[(u32, ValType)]) {
        for (local, _) in locals.iter().rev() {
            self.sink().local_set(*local);
        }
    }

    pub(super) fn get_all(&mut self, locals: &[(u32, ValType)]) {
        for (local, ty) in locals {
            get(&mut self.sink(), *local, *ty);
        }
    }

    /// Branches to a construct, with what it takes on the operand stack.
    pub(super) fn leave_to(&mut self, construct: usize) -> Result<()> {
        if !self.is_direct(construct)? {
            let carriers = self.carriers(construct)?;
            self.set_all(&carriers);
        }
        let label = self.label_of(construct)?;
        self.br(label)?;
        self.dead = true;
        Ok(())
    }

    /// An operator that may branch.
    pub(super) fn branching(&mut self, at: usize, op: &Op<'_>) -> Result<()> {
        let target = |depth: u32| self.function.scanned.target(op.construct, depth);
        match &op.operator {
            Operator::Br { relative_depth } => {
                let target = target(*relative_depth)?;
                self.leave_to(target)
            }
            Operator::Return => self.leave_to(0),
            Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => self.leave_to_tail(at),
            Operator::BrIf { relative_depth } => {
                let target = target(*relative_depth)?;
                if !self.is_direct(target)? {
                    let carriers = self.carriers(target)?;
                    if !carriers.is_empty() {
                        let chosen = self.spills.chosen;
                        self.sink().local_set(chosen);
                        self.set_all(&carriers);
                        self.get_all(&carriers);
                        self.sink().local_get(chosen);
                    }
                }
                let label = self.label_of(target)?;
                let depth = self.labels.depth(label)?;
                self.sink().br_if(depth);
                Ok(())
            }
            Operator::BrTable { targets } => {
                let mut all = Vec::new();
                for depth in targets.targets() {
                    all.push(target(depth?)?);
                }
                let default = target(targets.default())?;
                self.table(at, &all, default)
            }
            Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                let target = target(*relative_depth)?;
                self.on(target, op)
            }
            Operator::Unreachable | Operator::Throw { .. } | Operator::ThrowRef => {
                self.copy(op)?;
                self.dead = true;
                Ok(())
            }
            _ => self.copy(op),
        }
    }

    /// A table whose labels take their values in different ways goes by blocks of its own.
    fn table(&mut self, at: usize, targets: &[usize], default: usize) -> Result<()> {
        let mut ways: Vec<usize> = targets.to_vec();
        ways.push(default);
        ways.sort_unstable();
        ways.dedup();
        let types = self.function.scanned.tables.get(&at).cloned().unwrap_or_default();
        let place = |ways: &[usize], target: usize| {
            u32::try_from(ways.partition_point(|way| *way < target)).unwrap_or(u32::MAX)
        };
        let chosen = self.spills.chosen;
        self.sink().local_set(chosen);
        let mut kept = Vec::new();
        for (at, ty) in types.iter().enumerate() {
            kept.push((self.spills.operand(usize::MAX - at, *ty), *ty));
        }
        self.set_all(&kept);
        for _ in &ways {
            self.open(Label::Aux, BlockType::Empty);
        }
        let table: Vec<_> = targets.iter().map(|target| place(&ways, *target)).collect();
        let otherwise = place(&ways, default);
        self.sink().local_get(chosen).br_table(table, otherwise);
        for way in ways {
            self.close(Label::Aux)?;
            self.get_all(&kept);
            self.leave_to(way)?;
        }
        Ok(())
    }

    /// A branch on what a reference is.
    fn on(&mut self, target: usize, op: &Op<'_>) -> Result<()> {
        if self.is_direct(target)? {
            let label = self.label_of(target)?;
            let depth = self.labels.depth(label)?;
            let mut code = wasm_encoder::InstructionSink::new(&mut self.code);
            match &op.operator {
                Operator::BrOnNull { .. } => code.br_on_null(depth),
                Operator::BrOnNonNull { .. } => code.br_on_non_null(depth),
                Operator::BrOnCast { from_ref_type, to_ref_type, .. } => {
                    code.br_on_cast(depth, reference(*from_ref_type)?, reference(*to_ref_type)?)
                }
                Operator::BrOnCastFail { from_ref_type, to_ref_type, .. } => code.br_on_cast_fail(
                    depth,
                    reference(*from_ref_type)?,
                    reference(*to_ref_type)?,
                ),
                _ => return Err(Error::internal("a branch")),
            };
            return Ok(());
        }
        let mut carriers = self.carriers(target)?;
        let label = self.label_of(target)?;
        if let Operator::BrOnNull { .. } = op.operator {
            // The reference's own type is known where it stands alone, as the block's parameter.
            let tested = self.tested(op)?;
            self.sink().local_set(tested);
            self.set_all(&carriers);
            self.get_all(&carriers);
            let depth = self.labels.depth(label)?;
            self.sink().local_get(tested).br_on_null(depth);
            return Ok(());
        }
        let carrier = carriers.pop().ok_or_else(|| Error::internal("a reference"))?;
        let tested = self.tested(op)?;
        self.sink().local_set(tested);
        self.set_all(&carriers);
        self.get_all(&carriers);
        let depth = self.labels.depth(label)? + 1;
        let mut code = wasm_encoder::InstructionSink::new(&mut self.code);
        code.local_get(tested);
        match &op.operator {
            Operator::BrOnNonNull { .. } => {
                code.ref_is_null().i32_eqz().if_(BlockType::Empty);
                code.local_get(tested).local_set(carrier.0).br(depth).end();
            }
            Operator::BrOnCast { to_ref_type, from_ref_type, .. } => {
                test(&mut code, *to_ref_type)?;
                code.if_(BlockType::Empty).local_get(tested);
                cast(&mut code, *to_ref_type)?;
                code.local_set(carrier.0).br(depth).end().local_get(tested);
                if to_ref_type.is_nullable() || !from_ref_type.is_nullable() {
                    code.ref_as_non_null();
                }
            }
            Operator::BrOnCastFail { to_ref_type, from_ref_type, .. } => {
                test(&mut code, *to_ref_type)?;
                code.i32_eqz().if_(BlockType::Empty).local_get(tested);
                if to_ref_type.is_nullable() || !from_ref_type.is_nullable() {
                    code.ref_as_non_null();
                }
                code.local_set(carrier.0).br(depth).end().local_get(tested);
                cast(&mut code, *to_ref_type)?;
            }
            _ => return Err(Error::internal("a branch")),
        }
        Ok(())
    }

    /// A local for the reference that a branch looks at.
    fn tested(&mut self, op: &Op<'_>) -> Result<u32> {
        let ty = match &op.operator {
            Operator::BrOnCast { from_ref_type, .. }
            | Operator::BrOnCastFail { from_ref_type, .. } => ValType::Ref(*from_ref_type),
            _ => op.tested.ok_or_else(|| Error::internal("a reference"))?,
        };
        Ok(self.spills.operand(usize::MAX - 1_000_000, nullable(ty)))
    }
}

fn reference(ty: RefType) -> Result<wasm_encoder::RefType> {
    match encoded(ValType::Ref(ty))? {
        wasm_encoder::ValType::Ref(ty) => Ok(ty),
        _ => Err(Error::internal("a reference")),
    }
}

fn test(code: &mut wasm_encoder::InstructionSink<'_>, to: RefType) -> Result<()> {
    let of = heap(to.heap_type())?;
    if to.is_nullable() {
        code.ref_test_nullable(of);
    } else {
        code.ref_test_non_null(of);
    }
    Ok(())
}

fn cast(code: &mut wasm_encoder::InstructionSink<'_>, to: RefType) -> Result<()> {
    let of = heap(to.heap_type())?;
    if to.is_nullable() {
        code.ref_cast_nullable(of);
    } else {
        code.ref_cast_non_null(of);
    }
    Ok(())
}
