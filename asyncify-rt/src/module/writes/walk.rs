//! A walk over one function that follows the values it writes to the watched globals.

mod blocks;

use wasmparser::{FunctionBody, Operator, TryTable};

use super::operators::{NoTypes, catch_label, is_access};
use super::value::{Exact, LANES, LOWER, Value};
use super::{By, Facts, Lowering};
use crate::error::Result;
use crate::module::parse::{Parsed, invalid};
use blocks::{Block, Kind};

/// A function whose locals are still not settled is taken to lower whatever it writes.
const WALKS: u32 = 16;
/// An engine takes no more locals.
const LOCALS: u32 = 50_000;
/// A frame of more bytes is checked as one of variable size.
const LARGEST_FRAME: i64 = 1 << 20;

/// What is known of a local.
#[derive(Clone, Copy, Default)]
pub(super) struct Local {
    /// The walk that this was found in: of another function, it says nothing.
    function: u32,
    /// All that is ever put there.
    all: Option<Value>,
    /// What was put there last, in this stretch.
    now: Value,
    stretch: u32,
    /// Whether `all` was made use of.
    used: bool,
}

#[allow(clippy::struct_excessive_bools, reason = "none of them depends on another")]
pub(super) struct Walk<'p, 'a> {
    parsed: &'p Parsed<'a>,
    globals: &'p [u32],
    results: usize,
    function: u32,
    pub(super) locals: Vec<Local>,
    operands: Vec<Value>,
    blocks: Vec<Block>,
    stretch: u32,
    version: u32,
    live: bool,
    /// Whether a local grew after it had been used.
    grew: bool,
    /// Whether nothing is known of locals, because they do not settle.
    pub(super) lost: bool,
    pub(super) returns: bool,
    pub(super) operators: u32,
    pub(super) facts: [Facts; LANES],
    pub(super) lowerings: Vec<Lowering>,
}

impl<'p, 'a> Walk<'p, 'a> {
    pub(super) fn new(
        parsed: &'p Parsed<'a>,
        globals: &'p [u32],
        locals: Vec<Local>,
        results: usize,
    ) -> Self {
        let function = locals.first().map_or(0, |local| local.function).wrapping_add(1).max(1);
        Self {
            parsed,
            globals,
            results,
            function,
            locals,
            operands: Vec::new(),
            blocks: Vec::new(),
            stretch: 0,
            version: 0,
            live: true,
            grew: false,
            lost: false,
            returns: false,
            operators: 0,
            facts: [Facts::default(); LANES],
            lowerings: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, body: &FunctionBody<'a>, position: usize) -> Result<()> {
        if self.locals.is_empty() {
            self.locals.push(Local::default());
        }
        // The first one carries the number of the function.
        self.local(0);
        for walk in 1..=WALKS {
            self.lost = walk == WALKS;
            self.once(body, position)?;
            if !self.grew {
                break;
            }
        }
        Ok(())
    }

    fn once(&mut self, body: &FunctionBody<'a>, position: usize) -> Result<()> {
        self.operands.clear();
        self.blocks.clear();
        self.lowerings.clear();
        (self.facts, self.operators) = ([Facts::default(); LANES], 0);
        (self.live, self.grew, self.returns) = (true, false, false);
        self.stretch += 1;
        self.open(Kind::Plain, 0, self.results);
        let mut operators = body.get_operators_reader().map_err(invalid)?;
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read().map_err(invalid)?;
            self.operators = self.operators.saturating_add(1);
            self.step(&operator, at, position);
        }
        Ok(())
    }

    fn step(&mut self, operator: &Operator<'_>, at: usize, body: usize) {
        match operator {
            Operator::I32Const { value } => self.push(Value::constant((*value).into())),
            Operator::I64Const { value } => self.push(Value::constant(*value)),
            Operator::GlobalGet { global_index } => {
                let value = self.lane(*global_index).map(|lane| Value::global(lane, self.version));
                self.push(value.unwrap_or(Value::UNKNOWN));
            }
            Operator::GlobalSet { global_index } => {
                let value = self.pop();
                if let Some(lane) = self.lane(*global_index) {
                    self.write(lane, value, *global_index, at, body);
                }
            }
            Operator::LocalGet { local_index } => {
                let value = self.read(*local_index);
                self.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.assign(*local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.pop();
                self.assign(*local_index, value);
                self.push(value);
            }
            Operator::I32Add | Operator::I64Add => self.combine(Value::add),
            Operator::I32Sub | Operator::I64Sub => self.combine(Value::sub),
            Operator::I32And | Operator::I64And => self.combine(Value::and),
            Operator::I32Shl | Operator::I64Shl => self.combine(Value::shl),
            Operator::Select | Operator::TypedSelect { .. } => {
                self.pop();
                self.combine(Value::or);
            }
            Operator::Call { function_index } => {
                let ty = self.parsed.function_type(*function_index);
                self.call(ty.map(|ty| (ty.params().len(), ty.results().len())));
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                self.pop();
                self.call(self.parsed.type_arity(*type_index));
            }
            _ => self.flow(operator),
        }
    }

    /// Operators that end a stretch of straight code, and all that are of no interest.
    fn flow(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { blockty }
            | Operator::Try { blockty }
            | Operator::TryTable { try_table: TryTable { ty: blockty, .. } } => {
                self.enter(*blockty, Kind::Plain);
                if let Operator::TryTable { try_table } = operator {
                    // A handler is reached from any call in here.
                    for catch in &try_table.catches {
                        self.branch(catch_label(catch).saturating_add(1), false);
                    }
                }
            }
            Operator::If { blockty } => {
                self.pop();
                self.enter(*blockty, Kind::If);
            }
            Operator::Loop { blockty } => {
                self.enter(*blockty, Kind::Loop);
                self.join();
            }
            Operator::Else => self.otherwise(),
            Operator::Catch { .. } | Operator::CatchAll => {
                self.otherwise();
                self.live = true;
            }
            Operator::End | Operator::Delegate { .. } => self.close(),
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth, true);
                self.stop();
            }
            Operator::BrIf { relative_depth } => {
                self.pop();
                self.branch(*relative_depth, true);
            }
            Operator::BrTable { targets } => {
                self.pop();
                for depth in targets.targets().flatten() {
                    self.branch(depth, true);
                }
                self.branch(targets.default(), true);
                self.stop();
            }
            Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                self.branch(*relative_depth, false);
                self.forget();
            }
            Operator::Return
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => {
                self.returns |= self.live;
                self.stop();
            }
            Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. } => self.stop(),
            _ => self.pass(operator),
        }
    }

    fn pass(&mut self, operator: &Operator<'_>) {
        let Some((taken, given)) = operator.operator_arity(&NoTypes) else {
            return self.forget();
        };
        let addresses = is_access(operator);
        for position in 0..taken {
            let value = self.pop();
            // A store takes what it stores first off the stack.
            if addresses && position + 1 == taken {
                self.address(value);
            }
        }
        (0..given).for_each(|_| self.push(Value::UNKNOWN));
    }

    fn call(&mut self, arity: Option<(usize, usize)>) {
        self.version += 1;
        let Some((taken, given)) = arity else {
            return self.forget();
        };
        // A function may return what it was passed, as `memset` does, and compilers know.
        let mut passed = Value::UNKNOWN;
        for _ in 0..taken {
            let value = self.pop();
            self.address(value);
            passed = passed.or(value.inexact());
        }
        (0..given).for_each(|_| self.push(passed));
    }

    fn address(&mut self, value: Value) {
        for (facts, kinds) in self.facts.iter_mut().zip(value.kinds) {
            facts.addresses |= kinds != 0;
        }
    }

    fn write(&mut self, lane: usize, value: Value, global: u32, at: usize, body: usize) {
        let kinds = value.kinds[lane];
        let facts = &mut self.facts[lane];
        facts.kinds |= kinds;
        facts.others |= kinds == 0;
        facts.constants |= value.constant.is_some();
        if kinds & LOWER != 0 {
            let is_exact = |exact: &Exact| exact.lane == lane && exact.version == self.version;
            let by = match value.exact.filter(is_exact).map(|exact| exact.less) {
                Some(Some(less @ 1..=LARGEST_FRAME)) => By::Constant(less),
                Some(Some(less)) if less <= 0 => By::Unknown,
                Some(_) => By::Size,
                None => By::Unknown,
            };
            self.lowerings.push(Lowering { global, body, at, by });
        }
        self.version += 1;
    }

    fn lane(&self, global: u32) -> Option<usize> {
        self.globals.iter().position(|watched| *watched == global)
    }

    fn height(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.height)
    }

    fn push(&mut self, value: Value) {
        self.operands.push(value);
    }

    fn pop(&mut self) -> Value {
        if self.operands.len() > self.height() {
            self.operands.pop().unwrap_or(Value::UNKNOWN)
        } else {
            Value::UNKNOWN
        }
    }

    fn combine(&mut self, operation: fn(Value, Value) -> Value) {
        let right = self.pop();
        let left = self.pop();
        self.push(operation(left, right));
    }

    /// Gives up the operands of the open block.
    fn forget(&mut self) {
        self.operands.truncate(self.height());
    }

    fn local(&mut self, index: u32) -> Option<&mut Local> {
        if index >= LOCALS {
            return None;
        }
        let at = index as usize;
        if self.locals.len() <= at {
            self.locals.resize(at + 1, Local::default());
        }
        let local = self.locals.get_mut(at)?;
        if local.function != self.function {
            *local = Local { function: self.function, ..Local::default() };
        }
        Some(local)
    }

    fn read(&mut self, index: u32) -> Value {
        if self.lost {
            return Value::ANY;
        }
        let stretch = self.stretch;
        match self.local(index) {
            Some(local) if local.stretch == stretch => local.now,
            Some(local) => {
                local.used = true;
                local.all.unwrap_or(Value::UNKNOWN).inexact()
            }
            None => Value::ANY,
        }
    }

    fn assign(&mut self, index: u32, value: Value) {
        let stretch = self.stretch;
        let Some(local) = self.local(index) else { return };
        let all = local.all.map_or(value, |all| all.or(value));
        let grew = local.used && local.all.is_none_or(|before| before.kinds != all.kinds);
        (local.all, local.now, local.stretch) = (Some(all), value, stretch);
        self.grew |= grew;
    }
}
