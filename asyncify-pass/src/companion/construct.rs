//! Constructs of a companion: those that are there, and those that are laid flat.

use wasmparser::{Catch, ValType};

use super::Companion;
use super::label::Label;
use crate::error::Result;
use crate::live::label as clause_label;
use crate::scanned::{Kind, Op};

impl Companion<'_, '_, '_> {
    fn params(&mut self, construct: usize) -> Result<Vec<(u32, ValType)>> {
        let types = self.function.scanned.construct(construct)?.params.clone();
        let spills = &mut *self.spills;
        let local =
            |(place, ty): (usize, &ValType)| (spills.label(construct, place, *ty, true), *ty);
        Ok(types.iter().enumerate().map(local).collect())
    }

    fn results(&mut self, construct: usize) -> Result<Vec<(u32, ValType)>> {
        let types = self.function.scanned.construct(construct)?.results.clone();
        let spills = &mut *self.spills;
        let local =
            |(place, ty): (usize, &ValType)| (spills.label(construct, place, *ty, false), *ty);
        Ok(types.iter().enumerate().map(local).collect())
    }

    /// The operands below a construct, which are in locals inside it.
    fn below(&mut self, construct: usize) -> Result<Vec<(u32, ValType)>> {
        let found = self.function.scanned.construct(construct)?;
        let (base, types) = (found.height - found.below.len(), found.below.clone());
        let spills = &mut *self.spills;
        let local = |(place, ty): (usize, &ValType)| (spills.operand(base + place, *ty), *ty);
        Ok(types.iter().enumerate().map(local).collect())
    }

    pub(super) fn open_construct(&mut self, construct: usize, op: &Op<'_>) -> Result<()> {
        let (kind, has_sites) = self.kind(construct)?;
        if !has_sites {
            if kind == Kind::Try {
                return self.open_try(construct);
            }
            self.copy(op)?;
            self.labels.push(Label::Real(construct));
            return Ok(());
        }
        let (params, below) = (self.params(construct)?, self.below(construct)?);
        let chosen = self.spills.chosen;
        if !self.dead {
            if kind == Kind::If {
                self.sink().local_set(chosen);
            }
            self.set_all(&params);
            self.set_all(&below);
        }
        match kind {
            Kind::Loop => {
                self.close(Label::Inner(construct))?;
                let results = self.function.scanned.construct(construct)?.results.clone();
                let ty = self.added.types.leaving(&results)?;
                self.sink().loop_(ty);
                self.labels.push(Label::Real(construct));
                self.enter_region(construct)?;
                self.get_all(&params);
            }
            Kind::Try => {
                self.close(Label::Inner(construct))?;
                self.open_clauses(construct)?;
                self.enter_region(construct)?;
                self.get_all(&params);
            }
            Kind::If if !self.dead => {
                self.sink().local_get(chosen).i32_eqz();
                let otherwise = self.labels.depth(Label::Else(construct))?;
                self.sink().br_if(otherwise);
                self.get_all(&params);
            }
            _ if !self.dead => self.get_all(&params),
            _ => {}
        }
        Ok(())
    }

    /// A `try_table` without sites. Its parameters are operands, unless its clauses lead to labels
    /// that take none: then blocks stand around it, which they would have to go through.
    fn open_try(&mut self, construct: usize) -> Result<()> {
        let params = self.params(construct)?;
        self.set_all(&params);
        self.open_clauses(construct)?;
        self.get_all(&params);
        Ok(())
    }

    /// Opens a `try_table`, in a block for each of its clauses.
    fn open_clauses(&mut self, construct: usize) -> Result<()> {
        let found = self.function.scanned.construct(construct)?;
        let (catches, parent, results) =
            (found.catches.clone(), found.parent, found.results.clone());
        let ty = self.added.types.leaving(&results)?;
        if !catches.is_empty() {
            self.open(Label::Aux, ty);
        }
        for catch in catches.iter().rev() {
            let target = self.function.scanned.target(parent, clause_label(catch))?;
            let (types, _) = self.carried(target)?;
            let ty = self.added.types.leaving(&types)?;
            self.open(Label::Aux, ty);
        }
        let clauses: Vec<_> = catches
            .iter()
            .zip(0..)
            .map(|(catch, label)| match *catch {
                Catch::One { tag, .. } => wasm_encoder::Catch::One { tag, label },
                Catch::OneRef { tag, .. } => wasm_encoder::Catch::OneRef { tag, label },
                Catch::All { .. } => wasm_encoder::Catch::All { label },
                Catch::AllRef { .. } => wasm_encoder::Catch::AllRef { label },
            })
            .collect();
        self.sink().try_table(ty, clauses);
        self.labels.push(Label::Real(construct));
        Ok(())
    }

    /// Behind a `try_table`: each clause goes on to its label.
    fn close_clauses(&mut self, construct: usize) -> Result<()> {
        let found = self.function.scanned.construct(construct)?;
        let (catches, parent) = (found.catches.clone(), found.parent);
        if catches.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(catches.len()).unwrap_or(u32::MAX);
        self.sink().br(count);
        for catch in &catches {
            self.close(Label::Aux)?;
            let target = self.function.scanned.target(parent, clause_label(catch))?;
            self.leave_to(target)?;
        }
        self.close(Label::Aux)
    }

    pub(super) fn otherwise(&mut self, construct: usize, ended: bool) -> Result<()> {
        let (_, has_sites) = self.kind(construct)?;
        if !has_sites {
            self.sink().else_();
            self.dead = false;
            return Ok(());
        }
        if !ended && !self.dead {
            self.leave_to(construct)?;
        }
        self.close(Label::Else(construct))?;
        let params = self.params(construct)?;
        self.get_all(&params);
        Ok(())
    }

    pub(super) fn end_construct(&mut self, construct: usize, ended: bool) -> Result<()> {
        let (kind, has_sites) = self.kind(construct)?;
        if construct == 0 {
            if !ended && !self.dead {
                self.leave_to(0)?;
            }
            return Ok(());
        }
        let below = if has_sites { self.below(construct)? } else { Vec::new() };
        if self.labels.depth(Label::Real(construct)).is_ok() {
            self.close(Label::Real(construct))?;
            if kind == Kind::Try {
                self.close_clauses(construct)?;
            }
            if !below.is_empty() {
                let results = self.results(construct)?;
                self.set_all(&results);
                self.get_all(&below);
                self.get_all(&results);
            }
            return Ok(());
        }
        if !has_sites {
            // It was never opened.
            return Ok(());
        }
        let alone =
            kind == Kind::If && self.function.scanned.construct(construct)?.otherwise.is_none();
        if !ended && !self.dead {
            let results = self.results(construct)?;
            self.set_all(&results);
            if alone {
                self.br(Label::End(construct))?;
            }
        }
        if alone {
            self.close(Label::Else(construct))?;
            let (params, results) = (self.params(construct)?, self.results(construct)?);
            self.get_all(&params);
            self.set_all(&results);
        }
        self.close(Label::End(construct))?;
        self.get_all(&below);
        let results = self.results(construct)?;
        self.get_all(&results);
        Ok(())
    }
}
