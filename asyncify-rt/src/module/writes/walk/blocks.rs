//! Blocks and branches of a walk: where the ways through a function part and meet.

use wasmparser::BlockType;

use super::Walk;
use crate::module::writes::value::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Loop,
    /// An `if` that has no `else` so far: its end is reached where it is not entered, too.
    If,
}

/// A block that is open.
pub(super) struct Block {
    pub(super) kind: Kind,
    /// Operands below it.
    pub(super) height: usize,
    pub(super) results: usize,
    /// What is left as its one result, by those who branched.
    pub(super) result: Option<Value>,
    /// Whether its beginning can be reached.
    pub(super) live: bool,
    /// Whether its end can be, by a branch.
    pub(super) reached: bool,
}

impl Walk<'_, '_> {
    pub(super) fn open(&mut self, kind: Kind, height: usize, results: usize) {
        let live = self.live;
        self.blocks.push(Block { kind, height, results, result: None, live, reached: false });
    }

    pub(super) fn enter(&mut self, ty: BlockType, kind: Kind) {
        let (params, results) = match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => self.parsed.type_arity(index).unwrap_or_default(),
        };
        let height = self.operands.len().saturating_sub(params).max(self.height());
        self.open(kind, height, results);
    }

    /// Ends a stretch: other ways lead here as well.
    pub(super) fn join(&mut self) {
        self.stretch += 1;
        self.version += 1;
    }

    /// Goes on where nothing leads.
    pub(super) fn stop(&mut self) {
        self.live = false;
        self.forget();
    }

    /// The operand on top that the open block has.
    fn top(&self) -> Option<Value> {
        self.operands.get(self.height()..).and_then(|own| own.last()).copied()
    }

    /// Goes to the end of the block that is `depth` blocks further out, with what is on the stack as
    /// its result.
    pub(super) fn branch(&mut self, depth: u32, carries: bool) {
        let (top, live) = (self.top().unwrap_or(Value::UNKNOWN), self.live);
        let target = self.blocks.len().checked_sub(1).and_then(|at| at.checked_sub(depth as usize));
        let Some(block) = target.and_then(|at| self.blocks.get_mut(at)) else {
            return;
        };
        if block.kind == Kind::Loop {
            return;
        }
        block.reached |= live;
        if block.results == 1 && carries && live {
            block.result = Some(block.result.map_or(top, |result| result.or(top)));
        }
    }

    /// Goes over to another way through the block.
    pub(super) fn otherwise(&mut self) {
        self.branch(0, true);
        self.forget();
        if let Some(block) = self.blocks.last_mut() {
            block.kind = Kind::Plain;
            self.live = block.live;
        }
        self.join();
    }

    pub(super) fn close(&mut self) {
        let top = self.top().unwrap_or(Value::UNKNOWN);
        self.branch(0, true);
        let Some(block) = self.blocks.pop() else { return };
        self.operands.truncate(block.height);
        self.live |= block.reached || block.kind == Kind::If && block.live;
        match (block.results, block.kind) {
            (1, Kind::Loop) => self.push(top),
            (1, _) => self.push(block.result.unwrap_or(Value::UNKNOWN)),
            (several, _) => (0..several).for_each(|_| self.push(Value::UNKNOWN)),
        }
        if self.blocks.is_empty() {
            self.returns |= self.live;
        }
        self.join();
    }
}
