//! One function as the later steps see it: its operators, its constructs, and its sites, which are
//! the places where it may be left and entered again.

use std::collections::HashMap;

use wasmparser::{BlockType, Catch, FuncValidator, FuncValidatorAllocations, Operator, ValType};

use crate::Yields;
use crate::analyse::Suspending;
use crate::error::{Error, Result};
use crate::module::{Body, Known, Module};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Block,
    Loop,
    If,
    Try,
}

pub(crate) struct Construct {
    pub(crate) kind: Kind,
    pub(crate) parent: usize,
    /// The operators that open it, part it, and end it. The function opens before the first.
    pub(crate) open: usize,
    pub(crate) otherwise: Option<usize>,
    pub(crate) end: usize,
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    /// Operands below its parameters.
    pub(crate) height: usize,
    /// The types of those of them that its parent can reach, the topmost last.
    pub(crate) below: Vec<ValType>,
    /// Whether a site stands in it, at any depth.
    pub(crate) has_sites: bool,
    pub(crate) catches: Vec<Catch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    /// It calls an import that may be pending.
    Import,
    /// It calls a function that may have suspended.
    Call,
    /// It yields before the operator.
    Yield,
}

pub(crate) struct Site {
    pub(crate) kind: SiteKind,
    /// The operator.
    pub(crate) at: usize,
    pub(crate) construct: usize,
    /// The types of the operands that the construct can reach, without the results.
    pub(crate) operands: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    /// How many operands lie below the construct's.
    pub(crate) base: usize,
    /// Whether the function returns with the results: a tail call of an import.
    pub(crate) returns: bool,
}

pub(crate) struct Op<'a> {
    pub(crate) operator: Operator<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The construct that it stands in; one that opens or ends a construct stands outside of it.
    pub(crate) construct: usize,
    /// Whether it can never be reached.
    pub(crate) dead: bool,
    /// The type of the topmost operand, where a later step asks for it.
    pub(crate) tested: Option<ValType>,
}

pub(crate) struct Scanned<'a> {
    pub(crate) function: u32,
    /// Parameters, and what is declared.
    pub(crate) locals: Vec<ValType>,
    pub(crate) ops: Vec<Op<'a>>,
    pub(crate) constructs: Vec<Construct>,
    pub(crate) sites: Vec<Site>,
    /// For each `br_table`, the types of the values that it carries.
    pub(crate) tables: HashMap<usize, Vec<ValType>>,
}

impl Scanned<'_> {
    /// The construct that a branch from within `from` leads to.
    pub(crate) fn target(&self, from: usize, depth: u32) -> Result<usize> {
        let mut at = from;
        for _ in 0..depth {
            at = self.construct(at)?.parent;
        }
        Ok(at)
    }

    pub(crate) fn construct(&self, at: usize) -> Result<&Construct> {
        self.constructs.get(at).ok_or_else(|| Error::internal("a construct"))
    }
}

struct Scan<'m, 'a> {
    module: &'m Module<'a>,
    known: &'m Known,
    suspending: &'m Suspending,
    yields: Yields,
    validator: FuncValidator<wasmparser::ValidatorResources>,
    scanned: Scanned<'a>,
    /// The open constructs, and whether each was opened where nothing is reached.
    open: Vec<(usize, bool)>,
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
    let mut scan = Scan { module, known, suspending, yields, validator, scanned, open };
    while !reader.eof() {
        let start = reader.original_position();
        let operator = reader.read()?;
        scan.step(operator, start, reader.original_position())?;
    }
    let mut scanned = scan.scanned;
    for site in &scanned.sites {
        let mut at = site.construct;
        while let Some(construct) = scanned.constructs.get_mut(at) {
            if std::mem::replace(&mut construct.has_sites, true) || at == 0 {
                break;
            }
            at = construct.parent;
        }
    }
    Ok(scanned)
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
        let operands = self.operands(base, results.len())?;
        let construct = self.innermost();
        let returns = false;
        let site = Site { kind, at, construct, operands, results, base, returns };
        self.scanned.sites.push(site);
        Ok(())
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
        let mut below = Vec::new();
        let mut height = 0;
        if let Some(kind) = opened
            && !dead
        {
            let taken = params.len() + usize::from(kind == Kind::If);
            height = (self.validator.operand_stack_height() as usize).saturating_sub(taken);
            below = self.operands(self.base(), taken)?;
        }
        self.validator.op(start, &operator)?;
        let mut construct = self.innermost();
        match (&operator, opened) {
            (_, Some(kind)) => {
                let catches = match &operator {
                    Operator::TryTable { try_table } => try_table.catches.clone(),
                    _ => Vec::new(),
                };
                self.open.push((self.scanned.constructs.len(), dead));
                self.scanned.constructs.push(Construct {
                    kind,
                    parent: construct,
                    open: at,
                    otherwise: None,
                    end: at,
                    params,
                    results,
                    height,
                    below,
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
        let site = Site { kind, at, construct, operands, results, base, returns: true };
        self.scanned.sites.push(site);
        Ok(())
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
