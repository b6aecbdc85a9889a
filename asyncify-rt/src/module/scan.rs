//! One pass over all bodies: which functions can be unwound, who calls those without being one of
//! them, whether anything sets Asyncify's state, and how the globals are used that may be the
//! shadow stack pointer.
//!
//! Binaryen instruments whatever calls an instrumented function, and so on upwards, unless a list
//! says otherwise or a function drives Asyncify itself. So what does that and cannot be unwound was
//! left out. Whether a call through a table reaches a function that suspends is not known here.

use std::collections::{BTreeMap, HashMap};

use wasmparser::{ExternalKind, Operator};

use super::asyncify::Asyncify;
use super::body::Body;
use super::functions::{Callers, Functions, ImportCallers, Tables};
use super::parse::{Parsed, invalid, no_global};
use super::writes::{Tracker, Writes};
use crate::error::Result;

/// So many functions are kept of each kind: enough for a message.
const KEPT: usize = 32;

pub(super) struct Scan {
    /// Whether the module itself never sets Asyncify's state: what the host last wrote is there.
    pub(super) sealed: bool,
    pub(super) callers: Callers,
    pub(super) instrumented: Functions,
    pub(super) scheduling: Functions,
    pub(super) tables: Tables,
    pub(super) writes: Writes,
}

/// Scans `parsed`, watching the globals `watched`.
pub(super) fn scan(
    parsed: &Parsed<'_>,
    asyncify: Option<&Asyncify<'_>>,
    watched: Vec<bool>,
) -> Result<Scan> {
    let mut tracker = Tracker::new(watched);
    let mut sealed = asyncify.is_some_and(|asyncify| asyncify.is_sealed(parsed));
    let mut tables = Tables { changed: false, shared: parsed.shares_table() };
    let mut found = Found::default();
    let first = u32::try_from(parsed.imports.len()).unwrap_or(u32::MAX);
    for (defined, bytes) in parsed.bodies.iter().enumerate() {
        let function =
            u32::try_from(defined).map_or(u32::MAX, |defined| first.saturating_add(defined));
        let mut body = Body::default();
        tracker.enter();
        let mut operators = bytes.get_operators_reader().map_err(invalid)?;
        while !operators.eof() {
            let operator = operators.read().map_err(invalid)?;
            if let Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } =
                operator
                && parsed.global(global_index).is_none()
            {
                return Err(no_global(global_index));
            }
            body.step(&operator, asyncify);
            tracker.step(&operator);
            tables.changed |=
                changed_table(&operator).is_some_and(|table| parsed.holds_functions(table));
        }
        tracker.leave(parsed, defined, body.reads())?;
        if let Some(asyncify) = asyncify.filter(|asyncify| !asyncify.owns(function)) {
            sealed &= !body.drives() && !body.refers_to_setter;
            found.note(function, body, asyncify);
        }
    }
    let writes = tracker.finish();
    if asyncify.is_none() {
        let (callers, none) = (Callers::default(), Functions::default);
        return Ok(Scan {
            sealed,
            callers,
            instrumented: none(),
            scheduling: none(),
            tables,
            writes,
        });
    }
    found.instrument_forwards();
    let callers = found.callers(parsed, sealed);
    let Found { instrumented, scheduling, .. } = found;
    Ok(Scan { sealed, callers, instrumented, scheduling, tables, writes })
}

fn changed_table(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::TableSet { table }
        | Operator::TableGrow { table }
        | Operator::TableFill { table }
        | Operator::TableInit { table, .. }
        | Operator::TableCopy { dst_table: table, .. } => Some(table),
        _ => None,
    }
}

/// What was found in the functions of an instrumented module that aren't Asyncify's own.
#[derive(Default)]
struct Found {
    /// Those that can be unwound.
    instrumented: Functions,
    /// Those that frames are unwound up to.
    scheduling: Functions,
    driving: Vec<u32>,
    /// Those that call through a table and cannot be unwound.
    indirect: Vec<u32>,
    /// Those that act before they look at the state.
    acting: Vec<u32>,
    /// Those that look at no state, each with the function that it passes on to.
    forwards: Vec<(u32, u32)>,
    /// Those of them that pass on to one that can be unwound.
    passing: Functions,
    /// Pairs of caller and callee: where the state is not looked at afterwards.
    calls: Vec<(u32, u32)>,
}

impl Found {
    fn note(&mut self, function: u32, body: Body, asyncify: &Asyncify<'_>) {
        if body.drives() {
            self.driving.push(function);
        }
        if body.schedules() {
            self.scheduling.insert(function);
        } else if body.looks {
            self.instrumented.insert(function);
        } else if let Some(callee) = body.forwards_to() {
            self.forwards.push((function, callee));
        }
        if body.calls_indirectly && !body.looks && !body.drives() {
            self.indirect.push(function);
        }
        if body.acts_first {
            self.acting.push(function);
        }
        let unasked = body.calls.into_iter().filter(|(_, asked)| !(*asked && body.looks));
        let callees = unasked.map(|(callee, _)| callee);
        let mut callees: Vec<_> = callees.filter(|callee| !asyncify.owns(*callee)).collect();
        callees.sort_unstable();
        callees.dedup();
        self.calls.extend(callees.into_iter().map(|callee| (function, callee)));
    }

    /// What only passes on to an instrumented function can be unwound as that can. An optimizer
    /// makes such functions of some that are alike.
    fn instrument_forwards(&mut self) {
        let mut of: HashMap<u32, Vec<u32>> = HashMap::new();
        for (function, callee) in &self.forwards {
            of.entry(*callee).or_default().push(*function);
        }
        let mut targets: Vec<_> =
            of.keys().copied().filter(|target| self.instrumented.contains(*target)).collect();
        while let Some(target) = targets.pop() {
            for function in of.remove(&target).unwrap_or_default() {
                self.instrumented.insert(function);
                self.passing.insert(function);
                targets.push(function);
            }
        }
    }

    fn callers(&self, parsed: &Parsed<'_>, sealed: bool) -> Callers {
        let mut of_imports: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        // A guest that drives Asyncify may look at the state for its own ends.
        let mut left_out = if sealed { self.acting.clone() } else { Vec::new() };
        let mut names = Names::default();
        for &(caller, callee) in &self.calls {
            let Ok(index) = usize::try_from(callee) else {
                continue;
            };
            if index < parsed.imports.len() {
                let list = of_imports.entry(index).or_default();
                if list.len() < KEPT {
                    list.push(names.position(caller));
                }
            } else if self.instrumented.contains(callee)
                && !self.scheduling.contains(caller)
                && (sealed || !self.instrumented.contains(caller))
                && !self.passing.contains(caller)
            {
                left_out.push(caller);
            }
        }
        left_out.retain(|function| self.driving.binary_search(function).is_err());
        left_out.sort_unstable();
        left_out.dedup();
        let of_imports = of_imports
            .into_iter()
            .filter_map(|(index, callers)| {
                let (module, name) = *parsed.imports.get(index)?;
                Some(ImportCallers { module: module.to_owned(), name: name.to_owned(), callers })
            })
            .collect();
        let mut positions = |functions: &[u32]| {
            functions.iter().take(KEPT).map(|function| names.position(*function)).collect()
        };
        let (left_out, driving) = (positions(&left_out), positions(&self.driving));
        let indirect = positions(&self.indirect);
        Callers { names: names.labels(parsed), of_imports, left_out, driving, indirect }
    }
}

/// The functions that are listed, each with its position in the list of names.
#[derive(Default)]
struct Names {
    functions: Vec<u32>,
    positions: HashMap<u32, u32>,
}

impl Names {
    fn position(&mut self, function: u32) -> u32 {
        *self.positions.entry(function).or_insert_with(|| {
            self.functions.push(function);
            u32::try_from(self.functions.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn labels(&self, parsed: &Parsed<'_>) -> Vec<String> {
        let exports: HashMap<u32, &str> =
            parsed.exported(ExternalKind::Func).map(|(name, index)| (index, name)).collect();
        let label = |function: &u32| {
            let name = parsed.function_names.get(function).or_else(|| exports.get(function));
            name.map_or_else(|| format!("function[{function}]"), |name| (*name).to_owned())
        };
        self.functions.iter().map(label).collect()
    }
}
