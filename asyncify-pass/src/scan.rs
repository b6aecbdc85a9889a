//! Reads a function: finds its constructs and sites, with the types of the operands there.

use std::collections::HashMap;

use wasmparser::{BlockType, FuncValidator, FuncValidatorAllocations, Operator, ValType};

use crate::Yields;
use crate::analyse::Suspending;
use crate::error::{Error, Result};
use crate::module::{Body, Known, Module};
use crate::run::LONGEST;
use crate::scanned::{Construct, Kind, Op, Scanned, Site, SiteKind};

/// An engine takes no longer `br_table`, and there is one with a label for each site.
const MOST_SITES: usize = 65_520;

struct Scan<'m, 'a> {
    module: &'m Module<'a>,
    known: &'m Known,
    suspending: &'m Suspending,
    yields: Yields,
    validator: FuncValidator<wasmparser::ValidatorResources>,
    scanned: Scanned<'a>,
    /// The open constructs, and whether each was opened where nothing is reached.
    open: Vec<(usize, bool)>,
    /// Values that are written for all sites: each takes more than a byte of the function.
    held: usize,
}

/// Reads a function.
pub(crate) fn scan<'a>(
    module: &Module<'a>,
    suspending: &Suspending,
    yields: Yields,
    function: u32,
    body: &Body<'a>,
) -> Result<Scanned<'a>> {
    let known = &module.known;
    let mut validator = body.validator(FuncValidatorAllocations::default());
    let mut reader = body.body.get_operators_reader()?;
    {
        let mut locals = body.body.get_binary_reader();
        validator.read_locals(&mut locals)?;
    }
    let ty = module.type_of(function)?;
    let mut locals = Vec::new();
    for local in 0..validator.len_locals() {
        let ty = validator.get_local_type(local).ok_or_else(|| Error::internal("a local"))?;
        locals.push(known.val_type(ty)?);
    }
    let outermost = Construct {
        kind: Kind::Function,
        parent: 0,
        level: 0,
        jump: 0,
        open: 0,
        otherwise: None,
        end: 0,
        params: Vec::new(),
        results: types(known, ty.results())?,
        height: 0,
        below: Vec::new(),
        has_sites: false,
        catches: Vec::new(),
    };
    let scanned = Scanned {
        function,
        locals,
        ops: Vec::new(),
        constructs: vec![outermost],
        sites: Vec::new(),
        tables: HashMap::new(),
    };
    let open = vec![(0, false)];
    let mut scan = Scan { module, known, suspending, yields, validator, scanned, open, held: 0 };
    while !reader.eof() {
        let start = reader.original_position();
        let operator = reader.read()?;
        scan.step(operator, start, reader.original_position())?;
    }
    Ok(scan.scanned)
}

fn types(known: &Known, types: &[ValType]) -> Result<Vec<ValType>> {
    types.iter().map(|ty| known.val_type(*ty)).collect()
}

impl<'a> Scan<'_, 'a> {
    fn innermost(&self) -> usize {
        self.open.last().map_or(0, |(at, _)| *at)
    }

    /// The types of the operands from `height` on, without the topmost `but`.
    fn operands(&self, height: usize, but: usize) -> Result<Vec<ValType>> {
        let all = self.validator.operand_stack_height() as usize;
        let mut types = Vec::new();
        for depth in (but..all.saturating_sub(height)).rev() {
            let ty = self.validator.get_operand_type(depth).flatten();
            types.push(self.known.val_type(ty.ok_or_else(|| Error::internal("an operand"))?)?);
        }
        Ok(types)
    }

    fn base(&self) -> usize {
        self.validator.get_control_frame(0).map_or(0, |frame| frame.height)
    }

    fn is_dead(&self) -> bool {
        let opened_dead = self.open.last().is_none_or(|(_, dead)| *dead);
        opened_dead || self.validator.get_control_frame(0).is_none_or(|frame| frame.unreachable)
    }

    fn site(&mut self, kind: SiteKind, at: usize, results: Vec<ValType>) -> Result<()> {
        let base = self.base();
        self.hold(self.operand_count(base, results.len()) + results.len())?;
        let operands = self.operands(base, results.len())?;
        let construct = self.innermost();
        let returns = false;
        self.push(Site { kind, at, construct, operands, results, base, returns })
    }

    fn push(&mut self, site: Site) -> Result<()> {
        if self.scanned.sites.len() == MOST_SITES {
            return Err(self.refused("a function of so many calls"));
        }
        self.scanned.sites.push(site);
        // The operands below the constructs around it stay as they are while it stands in them.
        for depth in 0..self.open.len() {
            let Some((index, _)) = self.open.iter().rev().nth(depth).copied() else { break };
            let Some(construct) = self.scanned.constructs.get_mut(index) else { break };
            if std::mem::replace(&mut construct.has_sites, true) {
                break;
            }
            let height = construct.height;
            let base = self.validator.get_control_frame(depth + 1).map_or(0, |frame| frame.height);
            if index != 0 && height > base {
                self.hold(height - base)?;
                let all = self.validator.operand_stack_height() as usize;
                let below = self.operands(base, all.saturating_sub(height))?;
                if let Some(construct) = self.scanned.constructs.get_mut(index) {
                    construct.below = below;
                }
            }
        }
        Ok(())
    }

    /// Counts values that are written, before they are collected.
    fn hold(&mut self, values: usize) -> Result<()> {
        self.held += values;
        if self.held > LONGEST {
            return Err(self.refused("a function of this length"));
        }
        Ok(())
    }

    fn refused(&self, what: &str) -> Error {
        let offset = self.scanned.ops.first().map_or(0, |op| op.start);
        Error::unsupported(what, Some(self.scanned.function), offset)
    }

    fn operand_count(&self, height: usize, but: usize) -> usize {
        (self.validator.operand_stack_height() as usize).saturating_sub(height + but)
    }

    /// Whether the function yields before the operator.
    fn yields_at(&self, at: usize) -> bool {
        let last = self.scanned.ops.last().map(|op| &op.operator);
        match self.yields {
            Yields::None => false,
            Yields::Heads => at == 0 || matches!(last, Some(Operator::Loop { .. })),
            Yields::Everywhere => true,
        }
    }

    /// Notes what a later step asks of the operands: the type of the topmost, if it does.
    fn look(&mut self, operator: &Operator<'_>, at: usize) -> Result<Option<ValType>> {
        let all = self.validator.operand_stack_height() as usize;
        match operator {
            Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::ReturnCallIndirect { .. } => {
                Ok(self.operands(all.saturating_sub(1), 0)?.pop())
            }
            Operator::BrTable { targets } => {
                let target = self.scanned.target(self.innermost(), targets.default())?;
                let target = self.scanned.construct(target)?;
                let carried = match target.kind {
                    Kind::Loop => target.params.len(),
                    _ => target.results.len(),
                };
                let types = self.operands(all.saturating_sub(carried + 1), 1)?;
                self.scanned.tables.insert(at, types);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn step(&mut self, operator: Operator<'a>, start: usize, end: usize) -> Result<()> {
        let at = self.scanned.ops.len();
        let dead = self.is_dead();
        if !dead && self.yields_at(at) {
            self.site(SiteKind::Yield, at, Vec::new())?;
        }
        let tested = if dead { None } else { self.look(&operator, at)? };
        let (params, results) = self.block(&operator)?;
        let opened = match &operator {
            Operator::Block { .. } => Some(Kind::Block),
            Operator::Loop { .. } => Some(Kind::Loop),
            Operator::If { .. } => Some(Kind::If),
            Operator::TryTable { .. } => Some(Kind::Try),
            _ => None,
        };
        let mut height = 0;
        if let Some(kind) = opened
            && !dead
        {
            let taken = params.len() + usize::from(kind == Kind::If);
            height = (self.validator.operand_stack_height() as usize).saturating_sub(taken);
        }
        self.validator.op(start, &operator)?;
        let mut construct = self.innermost();
        match (&operator, opened) {
            (_, Some(kind)) => {
                let catches = match &operator {
                    Operator::TryTable { try_table } => try_table.catches.clone(),
                    _ => Vec::new(),
                };
                let (level, jump) = self.scanned.outward(construct)?;
                self.open.push((self.scanned.constructs.len(), dead));
                self.scanned.constructs.push(Construct {
                    kind,
                    parent: construct,
                    level,
                    jump,
                    open: at,
                    otherwise: None,
                    end: at,
                    params,
                    results,
                    height,
                    below: Vec::new(),
                    has_sites: false,
                    catches,
                });
            }
            (Operator::Else, _) => {
                if let Some(inner) = self.scanned.constructs.get_mut(construct) {
                    inner.otherwise = Some(at);
                }
            }
            (Operator::End, _) => {
                self.open.pop();
                if let Some(inner) = self.scanned.constructs.get_mut(construct) {
                    inner.end = at;
                    if construct != 0 {
                        construct = inner.parent;
                    }
                }
            }
            _ => {}
        }
        if let Operator::ReturnCall { function_index } = operator
            && !dead
            && function_index < self.module.imported_functions
            && self.suspending.has(function_index)
        {
            self.tail_call(function_index, at, start)?;
        }
        let kind = if dead { None } else { self.called(&operator)? };
        self.scanned.ops.push(Op { operator, start, end, construct, dead, tested });
        if let Some((kind, results)) = kind {
            self.site(kind, at, results)?;
        }
        Ok(())
    }

    /// A tail call of a suspending import is a call of it, and a return.
    fn tail_call(&mut self, import: u32, at: usize, offset: usize) -> Result<()> {
        let tries = |(at, _): &(usize, bool)| {
            self.scanned.constructs.get(*at).is_some_and(|open| open.kind == Kind::Try)
        };
        if self.open.iter().any(tries) {
            let function = Some(self.scanned.function);
            return Err(Error::unsupported(
                "a tail call of a suspending import inside a `try_table`",
                function,
                offset,
            ));
        }
        let results = types(self.known, self.module.type_of(import)?.results())?;
        let (kind, construct) = (SiteKind::Import, self.innermost());
        let operands = Vec::new();
        let base = self.base();
        self.push(Site { kind, at, construct, operands, results, base, returns: true })
    }

    /// What a construct takes and leaves.
    fn block(&self, operator: &Operator<'_>) -> Result<(Vec<ValType>, Vec<ValType>)> {
        let ty = match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                *blockty
            }
            Operator::TryTable { try_table } => try_table.ty,
            _ => BlockType::Empty,
        };
        Ok(match ty {
            BlockType::Empty => (Vec::new(), Vec::new()),
            BlockType::Type(ty) => (Vec::new(), vec![self.known.val_type(ty)?]),
            BlockType::FuncType(index) => {
                let ty = self.module.func_type(index)?;
                (types(self.known, ty.params())?, types(self.known, ty.results())?)
            }
        })
    }

    /// What a call that may suspend leaves, if it is one.
    fn called(&self, operator: &Operator<'_>) -> Result<Option<(SiteKind, Vec<ValType>)>> {
        let (kind, ty) = match operator {
            Operator::Call { function_index } if self.suspending.has(*function_index) => {
                let is_import = *function_index < self.module.imported_functions;
                let kind = if is_import { SiteKind::Import } else { SiteKind::Call };
                (kind, self.module.type_of(*function_index)?)
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index }
                if self.suspending.has_type(*type_index) =>
            {
                (SiteKind::Call, self.module.func_type(*type_index)?)
            }
            _ => return Ok(None),
        };
        Ok(Some((kind, types(self.known, ty.results())?)))
    }
}
