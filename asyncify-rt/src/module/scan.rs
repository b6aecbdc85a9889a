//! One pass over all bodies: who calls whom without looking at Asyncify's state, whether anything
//! sets that, and how the globals are used that may be the shadow stack pointer.
//!
//! The pass puts the question "are we unwinding?" right after each call that it instruments. So a
//! call of an import in an instrumented function, without that question, is one of an import that
//! the pass was not told of.

use std::collections::{BTreeMap, HashMap};

use wasmparser::{ExternalKind, Operator};

use super::asyncify::Asyncify;
use super::findings::{Callers, ImportCallers, Instrumented};
use super::parse::{Parsed, invalid, no_global};
use super::writes::{Tracker, Writes};
use crate::error::Result;

/// So many callers are kept of each import: enough for a message.
const KEPT: usize = 32;

pub(super) struct Scan {
    /// Whether the module itself never sets Asyncify's state: what the host last wrote is there.
    pub(super) sealed: bool,
    pub(super) callers: Callers,
    pub(super) instrumented: Instrumented,
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
    let mut reads_state = Vec::new();
    // Pairs of caller and callee: where the state is not read afterwards.
    let mut calls: Vec<(u32, u32)> = Vec::new();
    let first = u32::try_from(parsed.imports.len()).unwrap_or(u32::MAX);
    for (function, body) in (first..).zip(&parsed.bodies) {
        let own = calls.len();
        let (mut reads, mut unasked) = (false, Vec::new());
        // The import that was called just now.
        let mut called = None;
        tracker.enter();
        let mut operators = body.get_operators_reader().map_err(invalid)?;
        while !operators.eof() {
            let operator = operators.read().map_err(invalid)?;
            let is_question = matches!(
                operator,
                Operator::GlobalGet { global_index }
                    if asyncify.is_some_and(|asyncify| asyncify.globals.state == global_index)
            );
            reads |= is_question;
            if !is_passed_over(&operator)
                && let Some(import) = called.take()
                // Nor is one needed where the import is not expected to return.
                && !(is_question || matches!(operator, Operator::Unreachable))
            {
                unasked.push((function, import));
            }
            match &operator {
                Operator::GlobalSet { global_index } => {
                    sealed &= asyncify.is_none_or(|asyncify| {
                        asyncify.globals.state != *global_index || asyncify.sets(function)
                    });
                }
                Operator::RefFunc { function_index } => {
                    sealed &= asyncify.is_none_or(|asyncify| !asyncify.sets(*function_index));
                }
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    sealed &= asyncify.is_none_or(|asyncify| !asyncify.sets(*function_index));
                    calls.push((function, *function_index));
                    called = Some(*function_index).filter(|callee| *callee < first);
                }
                _ => {}
            }
            if let Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } =
                operator
                && parsed.global(global_index).is_none()
            {
                return Err(no_global(global_index));
            }
            tracker.step(&operator);
        }
        tracker.leave(parsed, reads_state.len(), reads)?;
        reads_state.push(reads);
        let is_own = asyncify.is_none_or(|asyncify| asyncify.owns(function));
        if reads || is_own {
            calls.truncate(own);
        }
        if reads && !is_own {
            calls.append(&mut unasked);
        }
    }
    calls.sort_unstable();
    calls.dedup();
    let (callers, instrumented) = match asyncify {
        Some(asyncify) => {
            let reads = (first..).zip(&reads_state).filter(|(_, reads)| **reads);
            let instrumented = reads.map(|(function, _)| function);
            (
                callers(parsed, asyncify, &calls, &reads_state),
                instrumented.filter(|function| !asyncify.owns(*function)).collect(),
            )
        }
        None => (Callers::default(), Instrumented::default()),
    };
    Ok(Scan { sealed, callers, instrumented, writes: tracker.finish() })
}

/// What may stand between a call and the question that follows it: the answer is put away.
fn is_passed_over(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::Drop
            | Operator::I32Const { .. }
            | Operator::I64Const { .. }
    )
}

fn callers(
    parsed: &Parsed<'_>,
    asyncify: &Asyncify<'_>,
    calls: &[(u32, u32)],
    reads_state: &[bool],
) -> Callers {
    let mut of_imports: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut of_instrumented = Vec::new();
    let mut names = Names::default();
    for &(caller, callee) in calls {
        let Ok(index) = usize::try_from(callee) else {
            continue;
        };
        let list = if index < parsed.imports.len() {
            of_imports.entry(index).or_default()
        } else {
            let defined = index - parsed.imports.len();
            let instrumented = reads_state.get(defined) == Some(&true) && !asyncify.owns(callee);
            // The calls are sorted by caller, so a caller that is listed already is the last.
            if !instrumented || names.is(of_instrumented.last(), caller) {
                continue;
            }
            &mut of_instrumented
        };
        if list.len() < KEPT {
            list.push(names.position(caller));
        }
    }
    let of_imports = of_imports
        .into_iter()
        .filter_map(|(index, callers)| {
            let (module, name) = *parsed.imports.get(index)?;
            Some(ImportCallers { module: module.to_owned(), name: name.to_owned(), callers })
        })
        .collect();
    Callers { names: names.labels(parsed), of_imports, of_instrumented }
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

    fn is(&self, position: Option<&u32>, function: u32) -> bool {
        position.is_some() && self.positions.get(&function) == position
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
