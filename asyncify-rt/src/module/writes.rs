//! How functions write the globals that may be the shadow stack pointer.
//!
//! A function that needs room on the shadow stack lowers the pointer, and later puts a kept value
//! back. This follows such values through operands, locals and branches, so that it sees them in
//! optimized and unoptimized modules alike. What it finds is used twice: as evidence for what a
//! global is, in `stack_pointer`, and for where a lowering is to be checked, in `guard`.
//!
//! A local has the value that was last put there within the same stretch of straight code; behind
//! a join of branches it has any of those that the function ever puts there. So one walk is
//! enough, except where a loop uses a local before it is set.

mod operators;
mod value;
mod walk;

use std::collections::BTreeMap;

use wasmparser::Operator;

use super::parse::Parsed;
use crate::error::Result;
use value::{FRAME, LANES, MASKED, RAISED, SAME, TAKEN};
use walk::{Local, Walk};

/// How a global is written, anywhere in the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// The functions that lower it, use that as an address, and put it back.
    pub(super) framed: u32,
    /// Whether something lowers it by what may be a frame.
    pub(super) lowered: bool,
    /// Whether something is done with it that is not done with a stack pointer.
    pub(super) misused: bool,
    /// Whether a value is written that does not come from it.
    pub(super) assigned: bool,
}

/// A write that may lower a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lowering {
    pub(super) global: u32,
    /// The function's position among those that are defined here.
    pub(super) body: usize,
    /// Where its `global.set` stands in the module.
    pub(super) at: usize,
    pub(super) by: By,
}

/// What a global's present value is lowered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// So many bytes.
    Constant(i64),
    /// Another number of bytes: the new value is the present one, less a size.
    Size,
    /// Perhaps not at all: the new value was kept, or may come from several places.
    Unknown,
}

/// What was found in all functions.
#[derive(Default)]
pub(super) struct Writes {
    /// By global; those that are never written are not in here.
    pub(super) usage: BTreeMap<u32, Usage>,
    /// In the order of the code.
    pub(super) lowerings: Vec<Lowering>,
}

/// Collects, function by function, how the watched globals are written.
pub(super) struct Tracker {
    /// For each global, whether it is watched.
    watched: Vec<bool>,
    /// Those that the function writes.
    written: Vec<u32>,
    locals: Vec<Local>,
    found: Writes,
}

impl Tracker {
    pub(super) fn new(watched: Vec<bool>) -> Self {
        Self { watched, written: Vec::new(), locals: Vec::new(), found: Writes::default() }
    }

    /// Begins another function.
    pub(super) fn enter(&mut self) {
        self.written.clear();
    }

    /// Notes what an operator writes.
    pub(super) fn step(&mut self, operator: &Operator<'_>) {
        if let Operator::GlobalSet { global_index } = operator
            && self.watched.get(*global_index as usize) == Some(&true)
            && !self.written.contains(global_index)
        {
            if self.written.len() < LANES {
                self.written.push(*global_index);
            } else {
                // One function of a compiler's writes one stack pointer.
                let usage = self.found.usage.entry(*global_index).or_default();
                (usage.misused, usage.assigned) = (true, true);
            }
        }
    }

    /// Ends a function: follows its values if it writes a watched global. One that is instrumented
    /// returns wherever it waits, so that it may lower a global and leave it so.
    pub(super) fn leave(
        &mut self,
        parsed: &Parsed<'_>,
        body: usize,
        instrumented: bool,
    ) -> Result<()> {
        let Some(code) = parsed.bodies.get(body).filter(|_| !self.written.is_empty()) else {
            return Ok(());
        };
        let function = parsed.imports.len().saturating_add(body);
        let ty = u32::try_from(function).ok().and_then(|function| parsed.function_type(function));
        let results = ty.map_or(0, |ty| ty.results().len());
        let mut walk = Walk::new(parsed, &self.written, std::mem::take(&mut self.locals), results);
        walk.run(code, body)?;
        for (lane, global) in self.written.iter().enumerate() {
            let facts = walk.facts[lane];
            let usage = self.found.usage.entry(*global).or_default();
            if walk.lost {
                (usage.lowered, usage.assigned) = (true, true);
                continue;
            }
            facts.add_to(usage, walk.returns && !instrumented, walk.operators);
        }
        self.found.lowerings.append(&mut walk.lowerings);
        self.locals = walk.locals;
        Ok(())
    }

    pub(super) fn finish(self) -> Writes {
        self.found
    }
}

/// What a function does with one global.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// How the values that it writes come from the global.
    kinds: u8,
    /// Whether it writes another value.
    others: bool,
    /// Whether it writes a constant.
    constants: bool,
    /// Whether it reads or writes memory at what comes from it, or passes that on.
    addresses: bool,
}

impl Facts {
    fn add_to(self, usage: &mut Usage, returns: bool, operators: u32) {
        let Self { kinds, others, constants, addresses } = self;
        let lowers = kinds & (FRAME | MASKED | TAKEN) != 0;
        let puts_back = kinds & (SAME | RAISED) != 0;
        usage.assigned |= others;
        usage.lowered |= kinds & (FRAME | MASKED) != 0;
        if kinds & (FRAME | MASKED) != 0 && (puts_back || others) {
            // Compilers without optimization may put back what they kept in memory.
            usage.framed += u32::from(addresses && puts_back);
            return;
        }
        // A setter is what a language that catches exceptions restores the pointer by.
        let is_setter = operators == 3 && !constants;
        usage.misused |= others && !is_setter;
        usage.misused |= match (lowers, puts_back) {
            // What ends with a trap, as a panic does, restores nothing. What hands out room of a
            // masked size makes it for its caller.
            (true, false) => kinds & TAKEN != 0 || returns && kinds & FRAME != 0,
            (true, true) => false,
            (false, _) => kinds & !SAME != 0,
        };
    }
}
