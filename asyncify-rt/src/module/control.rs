//! What a short function does, if it is one of those that Asyncify sets its state by.
//!
//! The pass makes four such functions, and optimizers write each in ways of their own: with locals,
//! with the comparison turned round, as one function that the others call. So a body is run here,
//! on values that stand for what is only known later, once as if the frames had run over the end of
//! their room and once as if they had not. What it did tells what it is.

use std::collections::BTreeMap;

use wasmparser::Operator;

use super::parse::{Parsed, short_body};

/// A longer body is not one of Asyncify's; they take about 30 bytes.
const LONGEST: usize = 96;
/// More operators than any of them has, with what they call.
const STEPS: u32 = 128;

/// The globals that Asyncify made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) state: u32,
    pub(super) data: u32,
}

impl Globals {
    pub(super) fn contains(self, global: u32) -> bool {
        global == self.state || global == self.data
    }
}

/// What one of Asyncify's functions does: it checks the struct, and sets these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) globals: Globals,
    /// The value that it sets the state to.
    pub(super) state: i32,
    /// Whether it sets the address of the struct, to its parameter.
    pub(super) starts: bool,
}

/// What `function` does, if it works as one of those that set Asyncify's state:
///
/// ```wat
/// (global.set $state (i32.const 1))    ;; or 2, or 0
/// (global.set $data (local.get 0))     ;; only those that start
/// (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))
///   (then (unreachable)))
/// ```
pub(super) fn control(parsed: &Parsed<'_>, function: u32) -> Option<Control> {
    let starts = match parsed.function_type(function)?.params() {
        [] => false,
        [_] => true,
        _ => return None,
    };
    let arguments = if starts { vec![Value::Address(Base::Argument, 0)] } else { vec![] };
    let run = |is_over| {
        let mut run =
            Run { parsed, is_over, steps: STEPS, written: BTreeMap::new(), checked: None };
        let ended = run.call(function, arguments.clone())?;
        Some((ended, run.written, run.checked?))
    };
    let (Ended::Trapped, ..) = run(true)? else { return None };
    let (Ended::Returned(_), written, checked) = run(false)? else { return None };
    let mut state = None;
    let mut data = None;
    for (global, value) in written {
        let place = match value {
            Value::Constant(value) => state.replace((global, value)),
            Value::Address(Base::Argument, 0) => data.replace(global).map(|global| (global, 0)),
            _ => return None,
        };
        if place.is_some() {
            return None;
        }
    }
    let data = match (checked, data) {
        (Base::Argument, Some(data)) => data,
        (Base::Global(data), None) if !starts => data,
        _ => return None,
    };
    let (global, state) = state?;
    Some(Control {
        globals: Globals { state: global, data },
        state: i32::try_from(state).ok()?,
        starts,
    })
}

/// Where an address comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The function's parameter.
    Argument,
    /// What a global held at the start.
    Global(u32),
}

#[derive(Clone, Copy)]
enum Value {
    Constant(i64),
    /// So many bytes behind an address.
    Address(Base, u64),
    /// What stands there.
    Field(Base, u64),
}

enum Ended {
    Trapped,
    Returned(Option<Value>),
}

struct Run<'p, 'a> {
    parsed: &'p Parsed<'a>,
    /// Whether the frames ran over the end of their room.
    is_over: bool,
    steps: u32,
    written: BTreeMap<u32, Value>,
    /// The struct whose position was compared with its end.
    checked: Option<Base>,
}

impl Run<'_, '_> {
    /// How a function ends, or nothing if it does what none of Asyncify's do.
    fn call(&mut self, function: u32, mut locals: Vec<Value>) -> Option<Ended> {
        let body = self.parsed.body(function)?;
        let operators = short_body(body, LONGEST)?;
        for local in body.get_locals_reader().ok()? {
            let (count, _) = local.ok()?;
            let count = usize::try_from(count).ok().filter(|count| *count <= LONGEST)?;
            locals.resize(locals.len() + count, Value::Constant(0));
        }
        let mut stack: Vec<Value> = Vec::new();
        let mut at = 0;
        while let Some(operator) = operators.get(at) {
            self.steps = self.steps.checked_sub(1)?;
            at += 1;
            match *operator {
                Operator::Nop | Operator::Block { .. } | Operator::End => {}
                Operator::I32Const { value } => stack.push(Value::Constant(value.into())),
                Operator::I64Const { value } => stack.push(Value::Constant(value)),
                Operator::LocalGet { local_index } => {
                    stack.push(*locals.get(usize::try_from(local_index).ok()?)?);
                }
                Operator::LocalSet { local_index } => {
                    *locals.get_mut(usize::try_from(local_index).ok()?)? = stack.pop()?;
                }
                Operator::LocalTee { local_index } => {
                    *locals.get_mut(usize::try_from(local_index).ok()?)? = *stack.last()?;
                }
                Operator::GlobalGet { global_index } => {
                    let held = Value::Address(Base::Global(global_index), 0);
                    stack.push(self.written.get(&global_index).copied().unwrap_or(held));
                }
                Operator::GlobalSet { global_index } => {
                    self.written.insert(global_index, stack.pop()?);
                }
                Operator::I32Load { memarg } | Operator::I64Load { memarg } => {
                    let Value::Address(base, offset) = stack.pop()? else { return None };
                    stack.push(Value::Field(base, offset.checked_add(memarg.offset)?));
                }
                Operator::I32Add | Operator::I64Add => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    stack.push(add(left, right)?);
                }
                Operator::I32GtU | Operator::I64GtU => self.compare(&mut stack, false, false)?,
                Operator::I32LeU | Operator::I64LeU => self.compare(&mut stack, false, true)?,
                Operator::I32LtU | Operator::I64LtU => self.compare(&mut stack, true, false)?,
                Operator::I32GeU | Operator::I64GeU => self.compare(&mut stack, true, true)?,
                Operator::I32Eqz => {
                    let is_zero = !truth(stack.pop()?)?;
                    stack.push(Value::Constant(is_zero.into()));
                }
                Operator::Drop => {
                    stack.pop()?;
                }
                Operator::If { .. } if truth(stack.pop()?)? => {}
                Operator::If { .. } => at = behind(&operators, at, 0, true)?,
                // The arm in front of it was run.
                Operator::Else => at = behind(&operators, at, 0, false)?,
                Operator::BrIf { .. } if !truth(stack.pop()?)? => {}
                Operator::BrIf { relative_depth } | Operator::Br { relative_depth } => {
                    at = behind(&operators, at, relative_depth, false)?;
                }
                Operator::Unreachable => return Some(Ended::Trapped),
                Operator::Return => break,
                Operator::Call { function_index } => {
                    let params = self.parsed.function_type(function_index)?.params().len();
                    let arguments = stack.split_off(stack.len().checked_sub(params)?);
                    match self.call(function_index, arguments)? {
                        Ended::Trapped => return Some(Ended::Trapped),
                        Ended::Returned(value) => stack.extend(value),
                    }
                }
                _ => return None,
            }
        }
        let results = self.parsed.function_type(function)?.results().len();
        Some(Ended::Returned(stack.pop().filter(|_| results == 1)))
    }

    /// Compares the position in a struct with its end: whether it is greater, or `not`.
    fn compare(&mut self, stack: &mut Vec<Value>, swapped: bool, not: bool) -> Option<()> {
        let (right, left) = (stack.pop()?, stack.pop()?);
        let (position, end) = if swapped { (right, left) } else { (left, right) };
        let width = self.parsed.width().bytes().into();
        match (position, end) {
            (Value::Field(base, 0), Value::Field(other, offset))
                if base == other && offset == width && self.checked.is_none_or(|is| is == base) =>
            {
                self.checked = Some(base);
                stack.push(Value::Constant((self.is_over != not).into()));
                Some(())
            }
            _ => None,
        }
    }
}

fn add(left: Value, right: Value) -> Option<Value> {
    match (left, right) {
        (Value::Address(base, offset), Value::Constant(by))
        | (Value::Constant(by), Value::Address(base, offset)) => {
            Some(Value::Address(base, offset.checked_add_signed(by)?))
        }
        _ => None,
    }
}

fn truth(value: Value) -> Option<bool> {
    match value {
        Value::Constant(value) => Some(value != 0),
        _ => None,
    }
}

/// The position behind the end of the block that is `depth` further out than the one at `at`, or
/// behind its `else`.
fn behind(operators: &[Operator<'_>], at: usize, depth: u32, or_else: bool) -> Option<usize> {
    let mut open = depth + 1;
    for (position, operator) in (at..).zip(operators.get(at..)?) {
        match operator {
            Operator::Block { .. } | Operator::If { .. } => open += 1,
            Operator::Loop { .. } => return None,
            Operator::Else if or_else && open == 1 => return Some(position + 1),
            Operator::End => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(position + 1);
        }
    }
    None
}
