//! Tells a stack pointer from a bump allocator's or a counter's global by how it is set.
//!
//! A function that needs room on the shadow stack lowers the pointer by a constant, and later
//! puts a kept value back. This follows such values through straight-line code and locals, so that
//! it sees them in optimized and unoptimized modules alike. It is evidence, not proof.

use std::collections::{BTreeMap, HashMap};

use wasmparser::Operator;

/// Deeper than the few operands that one such computation needs.
const OPERANDS: usize = 32;
/// A function with more locals that hold such values is followed only in part.
const LOCALS: usize = 1024;

/// How a global is set, anywhere in the module.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    /// To its own value less a constant that keeps it aligned to 4.
    pub(super) lowered: bool,
    /// To its own value and something more.
    pub(super) raised: bool,
}

/// What is known of an operand or a local.
#[derive(Clone, Copy)]
enum Value {
    Unknown,
    Constant(i64),
    Global(u32),
    Lowered(u32),
    Raised(u32),
}

pub(super) struct Tracker {
    /// For each global, whether it is watched.
    watched: Vec<bool>,
    active: bool,
    operands: Vec<Value>,
    /// The locals of which something is known.
    locals: HashMap<u32, Value>,
    usage: BTreeMap<u32, Usage>,
}

impl Tracker {
    pub(super) fn new(watched: Vec<bool>) -> Self {
        let active = watched.contains(&true);
        Self {
            watched,
            active,
            operands: Vec::new(),
            locals: HashMap::new(),
            usage: BTreeMap::new(),
        }
    }

    /// Begins another function.
    pub(super) fn enter(&mut self) {
        self.operands.clear();
        self.locals.clear();
    }

    pub(super) fn finish(self) -> BTreeMap<u32, Usage> {
        self.usage
    }

    pub(super) fn step(&mut self, operator: &Operator<'_>) {
        if !self.active {
            return;
        }
        match operator {
            Operator::I32Const { value } => self.push(Value::Constant((*value).into())),
            Operator::I64Const { value } => self.push(Value::Constant(*value)),
            Operator::GlobalGet { global_index } if self.watches(*global_index) => {
                self.push(Value::Global(*global_index));
            }
            Operator::GlobalGet { .. } => self.push(Value::Unknown),
            Operator::LocalGet { local_index } => {
                let value = self.locals.get(local_index).copied().unwrap_or(Value::Unknown);
                self.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.assign(*local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.operands.last().copied().unwrap_or(Value::Unknown);
                self.assign(*local_index, value);
            }
            Operator::I32Add | Operator::I64Add => self.combine(add),
            Operator::I32Sub | Operator::I64Sub => self.combine(sub),
            Operator::I32And | Operator::I64And => self.combine(mask),
            Operator::GlobalSet { global_index } => {
                let value = self.pop();
                self.set(*global_index, value);
            }
            _ => self.operands.clear(),
        }
    }

    fn watches(&self, global: u32) -> bool {
        usize::try_from(global).is_ok_and(|index| self.watched.get(index) == Some(&true))
    }

    fn push(&mut self, value: Value) {
        if self.operands.len() >= OPERANDS {
            self.operands.clear();
        }
        self.operands.push(value);
    }

    fn pop(&mut self) -> Value {
        self.operands.pop().unwrap_or(Value::Unknown)
    }

    fn combine(&mut self, operation: fn(Value, Value) -> Value) {
        let right = self.pop();
        let left = self.pop();
        self.push(operation(left, right));
    }

    fn assign(&mut self, local: u32, value: Value) {
        if matches!(value, Value::Unknown) {
            self.locals.remove(&local);
        } else if self.locals.len() < LOCALS || self.locals.contains_key(&local) {
            self.locals.insert(local, value);
        }
    }

    fn set(&mut self, global: u32, value: Value) {
        match value {
            Value::Lowered(from) if from == global => {
                self.usage.entry(global).or_default().lowered = true;
            }
            Value::Raised(from) if from == global => {
                self.usage.entry(global).or_default().raised = true;
            }
            _ => {}
        }
    }
}

fn add(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Constant(a), Value::Constant(b)) => Value::Constant(a.wrapping_add(b)),
        (Value::Global(global), Value::Constant(by))
        | (Value::Constant(by), Value::Global(global)) => moved(global, by),
        (Value::Global(global), _) | (_, Value::Global(global)) => Value::Raised(global),
        _ => Value::Unknown,
    }
}

fn sub(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Global(global), Value::Constant(by)) => moved(global, by.wrapping_neg()),
        _ => Value::Unknown,
    }
}

/// Aligning a value leaves it what it is.
fn mask(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Constant(_), value) | (value, Value::Constant(_)) => value,
        _ => Value::Unknown,
    }
}

fn moved(global: u32, by: i64) -> Value {
    match by {
        0 => Value::Global(global),
        1.. => Value::Raised(global),
        _ if by % 4 == 0 => Value::Lowered(global),
        _ => Value::Unknown,
    }
}
