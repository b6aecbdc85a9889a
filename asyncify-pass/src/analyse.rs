//! Which functions may suspend: those that call a suspending import, or yield, and their callers.
//!
//! A call through a table or by a reference may reach every function of its type, or of a subtype,
//! whose reference is taken anywhere.

use std::collections::{HashMap, HashSet};

use wasmparser::types::CoreTypeId;
use wasmparser::{ExternalKind, Operator};

use crate::Yields;
use crate::error::Result;
use crate::module::Module;

/// Why a function may suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is a suspending import.
    Import,
    /// It has a point at which it yields.
    Yields,
    /// It calls this one.
    Calls(u32),
}

/// What may suspend.
pub(crate) struct Suspending {
    functions: HashMap<u32, Why>,
    /// Types that a call by reference may suspend through, by index.
    types: HashSet<u32>,
}

impl Suspending {
    pub(crate) fn why(&self, function: u32) -> Option<Why> {
        self.functions.get(&function).copied()
    }

    pub(crate) fn has(&self, function: u32) -> bool {
        self.functions.contains_key(&function)
    }

    pub(crate) fn has_type(&self, ty: u32) -> bool {
        self.types.contains(&ty)
    }
}

#[derive(Default)]
struct Calls {
    /// For each function, who calls it.
    callers: HashMap<u32, Vec<u32>>,
    /// For each type, who calls by reference through it.
    by_type: HashMap<u32, Vec<u32>>,
    /// Functions whose reference is taken.
    referred: HashSet<u32>,
    /// Functions that yield.
    yielding: Vec<u32>,
}

fn calls(module: &Module<'_>, yields: Yields) -> Result<Calls> {
    let mut calls = Calls::default();
    calls.referred.extend(&module.referred);
    if module.shares_table {
        let exports = module.exports.iter().filter(|export| export.kind == ExternalKind::Func);
        calls.referred.extend(exports.map(|export| export.index));
    }
    for (position, body) in module.bodies.iter().enumerate() {
        let function = module.imported_functions + u32::try_from(position).unwrap_or(u32::MAX);
        if yields != Yields::None {
            calls.yielding.push(function);
        }
        for operator in body.body.get_operators_reader()? {
            match operator? {
                // What is tail-called leaves no frame of the caller's, but its callers' see it.
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    calls.callers.entry(function_index).or_default().push(function);
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. }
                | Operator::CallRef { type_index }
                | Operator::ReturnCallRef { type_index } => {
                    calls.by_type.entry(type_index).or_default().push(function);
                }
                Operator::RefFunc { function_index } => {
                    calls.referred.insert(function_index);
                }
                _ => {}
            }
        }
    }
    Ok(calls)
}

/// Finds all that may suspend, from `imports` and what yields.
pub(crate) fn analyse(module: &Module<'_>, imports: &[u32], yields: Yields) -> Result<Suspending> {
    let calls = calls(module, yields)?;
    let mut by_id: HashMap<CoreTypeId, Vec<u32>> = HashMap::new();
    for &ty in calls.by_type.keys() {
        by_id.entry(module.types.as_ref().core_type_at_in_module(ty)).or_default().push(ty);
    }
    let mut found = Suspending { functions: HashMap::new(), types: HashSet::new() };
    let mut work = Vec::new();
    for &import in imports {
        found.functions.insert(import, Why::Import);
        work.push(import);
    }
    for &function in &calls.yielding {
        if found.functions.insert(function, Why::Yields).is_none() {
            work.push(function);
        }
    }
    while let Some(function) = work.pop() {
        let mut reached: Vec<u32> = calls.callers.get(&function).cloned().unwrap_or_default();
        if calls.referred.contains(&function) {
            let ty = module.functions.get(function as usize).copied().unwrap_or_default();
            let mut id = Some(module.types.as_ref().core_type_at_in_module(ty));
            while let Some(of) = id {
                for &ty in by_id.get(&of).into_iter().flatten() {
                    if found.types.insert(ty) {
                        reached.extend(calls.by_type.get(&ty).into_iter().flatten());
                    }
                }
                id = module.types.as_ref().supertype_of(of);
            }
        }
        for caller in reached {
            if !found.has(caller) {
                found.functions.insert(caller, Why::Calls(function));
                work.push(caller);
            }
        }
    }
    Ok(found)
}
