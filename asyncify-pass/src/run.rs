//! One run of the pass over a module: its functions one by one, then what drives them.

use std::collections::HashMap;

use wasmparser::{ExternalKind, ValType};

use crate::added::Added;
use crate::analyse::Suspending;
use crate::body::{Function, body};
use crate::companion::companion;
use crate::error::{Error, Result};
use crate::frame::{Spills, layouts};
use crate::live::live;
use crate::module::{Body, Module};
use crate::pass::{Entry, Pass};
use crate::scan::scan;
use crate::seam;
use crate::write::{Parts, write};

/// An engine takes no function of more results; an entry has one more.
const MOST_RESULTS: usize = 1_000;
/// An engine takes no longer function.
pub(crate) const LONGEST: usize = 7_654_321;

/// What every name of what is added begins with.
pub(crate) const PREFIX: &str = "asyncify:";

/// One run of the pass.
pub(crate) struct Run<'r, 'a> {
    pass: &'r Pass,
    module: &'r Module<'a>,
    suspending: &'r Suspending,
    added: Added,
    bodies: Vec<Vec<u8>>,
    companions: Vec<seam::Function>,
    driven: Vec<seam::Function>,
    exports: Vec<(String, u8, u32)>,
    moved: Vec<u32>,
    declared: Vec<u32>,
    keeps_start: bool,
    seldom: Vec<(u32, Vec<u32>)>,
}

impl<'r, 'a> Run<'r, 'a> {
    pub(crate) fn new(pass: &'r Pass, module: &'r Module<'a>, suspending: &'r Suspending) -> Self {
        let mut added = Added::new(module);
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let own = module.imported_functions..count(module.functions.len());
        let companions = own.filter(|function| suspending.has(*function)).count();
        let driven = module.exports.iter().filter(|export| is_driven(export, module, suspending));
        let starts = module.start.is_some_and(|start| suspending.has(start));
        // For each an entry, a guard, and at most one function that resumes.
        let driven = driven.count() * 3 + if starts { 2 } else { 0 };
        added.next_function += count(companions) + count(driven);
        let moved = module.exports.iter().map(|export| export.index).collect();
        Self {
            pass,
            module,
            suspending,
            added,
            bodies: Vec::with_capacity(module.bodies.len()),
            companions: Vec::new(),
            driven: Vec::new(),
            exports: Vec::new(),
            moved,
            declared: Vec::new(),
            keeps_start: !starts,
            seldom: Vec::new(),
        }
    }

    pub(crate) fn functions(&mut self) -> Result<()> {
        for (position, found) in self.module.bodies.iter().enumerate() {
            let function =
                self.module.imported_functions + u32::try_from(position).unwrap_or(u32::MAX);
            if self.suspending.has(function) {
                self.function(function, found)?;
            } else {
                let range = found.body.range();
                self.bodies.push(self.module.bytes.get(range).unwrap_or_default().to_vec());
            }
        }
        Ok(())
    }

    fn function(&mut self, index: u32, found: &Body<'a>) -> Result<()> {
        let (module, suspending) = (self.module, self.suspending);
        let scanned = scan(module, suspending, self.pass.yields, index, found)?;
        let live = live(&scanned)?;
        let mut spills = Spills::new(&scanned);
        let layouts = layouts(&scanned, &live, &mut spills)?;
        let number = u32::try_from(self.companions.len()).unwrap_or(u32::MAX);
        let function = Function { module, scanned: &scanned, layouts: &layouts, companion: number };
        let (groups, declared) = declared(module, found)?;
        let body = body(&function, &mut self.added, &mut spills, declared, groups)?;
        let companion = companion(&function, &mut self.added, &mut spills)?;
        function.check(body.bytes.len().max(companion.len()))?;
        self.bodies.push(body.bytes);
        self.seldom.push((index, body.seldom));
        let body = companion;
        self.companions.push(seam::Function {
            ty: None,
            params: Vec::new(),
            results: Vec::new(),
            body,
        });
        self.declared.push(index);
        Ok(())
    }

    /// The index of the next function that drives.
    fn next(&self) -> u32 {
        let before = self.companions.len() + self.driven.len();
        self.added.run + 1 + u32::try_from(before).unwrap_or(u32::MAX)
    }

    fn drive(&mut self, function: seam::Function) -> u32 {
        let index = self.next();
        self.driven.push(function);
        index
    }

    pub(crate) fn entries(&mut self) -> Result<(Vec<Entry>, Option<Entry>)> {
        let mut entries = Vec::new();
        let mut resumes: HashMap<Vec<ValType>, String> = HashMap::new();
        let module = self.module;
        for (place, export) in module.exports.iter().enumerate() {
            if !is_driven(export, module, self.suspending) {
                continue;
            }
            let ty = module.type_of(export.index)?.clone();
            let (params, results) = (ty.params(), ty.results());
            if results.len() >= MOST_RESULTS {
                let what = "an export of so many results";
                return Err(Error::unsupported(what, Some(export.index), 0));
            }
            let entry = seam::entry(&self.added, export.index, params, results)?;
            let entry = self.drive(entry);
            let call = format!("{PREFIX}call:{}", export.name);
            self.exports.push((call.clone(), 0, entry));
            let guard = seam::guard(&self.added, export.index, params, results)?;
            let ty = module.functions.get(export.index as usize).copied();
            let guard = self.drive(seam::Function { ty, ..guard });
            if let Some(moved) = self.moved.get_mut(place) {
                *moved = guard;
            }
            let resume = self.resume(&mut resumes, results)?;
            entries.push(Entry { export: export.name.to_owned(), call, resume });
        }
        let mut start = None;
        if let Some(function) = module.start.filter(|start| self.suspending.has(*start)) {
            let entry = seam::entry(&self.added, function, &[], &[])?;
            let entry = self.drive(entry);
            let call = format!("{PREFIX}start");
            self.exports.push((call.clone(), 0, entry));
            let resume = self.resume(&mut resumes, &[])?;
            start = Some(Entry { export: String::new(), call, resume });
        }
        Ok((entries, start))
    }

    fn resume(
        &mut self,
        resumes: &mut HashMap<Vec<ValType>, String>,
        results: &[ValType],
    ) -> Result<String> {
        if let Some(name) = resumes.get(results) {
            return Ok(name.clone());
        }
        let name = format!("{PREFIX}resume:{}", resumes.len());
        let function = seam::resume(&mut self.added, results)?;
        let index = self.drive(function);
        self.exports.push((name.clone(), 0, index));
        resumes.insert(results.to_vec(), name.clone());
        Ok(name)
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        let first = self.added.run + 1;
        let companions = (first..).take(self.companions.len()).collect::<Vec<_>>();
        let mut all = vec![seam::push(&self.added)?, seam::run(&self.added)?];
        all.append(&mut self.companions);
        all.append(&mut self.driven);
        // Room was left for more of those that drive.
        let references = self.added.references.first().map(|references| references.put);
        while references.is_some_and(|put| {
            u32::try_from(all.len()).is_ok_and(|len| self.added.push + len < put)
        }) {
            all.push(seam::guard(&self.added, self.added.push, &[ValType::I32], &[ValType::I32])?);
        }
        for references in &self.added.references {
            all.extend(seam::references(references)?);
        }
        let mut functions = Vec::with_capacity(all.len());
        for function in all {
            let of = &mut self.added.types;
            let ty = function.ty.unwrap_or_else(|| of.of(function.params, function.results));
            functions.push(ty);
            self.bodies.push(function.body);
        }
        let added = &self.added;
        self.exports.push((format!("{PREFIX}frames"), 2, added.memory));
        for (name, global) in [("pos", added.pos), ("state", added.state), ("yield", added.yields)]
        {
            self.exports.push((format!("{PREFIX}{name}"), 3, global));
        }
        let parts = Parts {
            functions,
            bodies: self.bodies,
            exports: self.exports,
            moved: self.moved,
            companions,
            declared: self.declared,
            keeps_start: self.keeps_start,
            seldom: self.seldom,
            most_pages: self.pass.most_pages.unwrap_or(16_384),
        };
        check(self.module, added, &parts)?;
        write(self.module, added, &parts)
    }
}

/// Refuses a module that would have more of something than an engine takes.
fn check(module: &Module<'_>, added: &Added, parts: &Parts) -> Result<()> {
    let functions = module.imported_functions as usize + parts.bodies.len();
    let all = [
        ("types", module.subtypes.len() + added.types.added.len(), 1_000_000),
        ("functions", functions, 1_000_000),
        ("exports", module.exports.len() + parts.exports.len(), 1_000_000),
        ("globals", module.globals as usize + added.globals(), 1_000_000),
        ("tables", module.tables as usize + 1 + added.references.len(), 100),
        ("memories", module.memories as usize + 1, 100),
    ];
    match all.iter().find(|(_, count, most)| count > most) {
        Some((what, ..)) => {
            Err(Error::unsupported(&format!("a module of so many {what}"), None, 0))
        }
        None => Ok(()),
    }
}

/// Whether an export is a function of the module's own that may suspend.
fn is_driven(export: &crate::module::Export<'_>, module: &Module<'_>, of: &Suspending) -> bool {
    export.kind == ExternalKind::Func
        && export.index >= module.imported_functions
        && of.has(export.index)
}

/// How a function declares its locals: how many groups, and the bytes of those.
fn declared<'a>(module: &Module<'a>, body: &Body<'a>) -> Result<(u32, &'a [u8])> {
    let range = body.body.range();
    let bytes = module.bytes.get(range.clone()).unwrap_or_default();
    let mut reader = wasmparser::BinaryReader::new(bytes, range.start);
    let groups = reader.read_var_u32()?;
    let first = reader.original_position();
    let end = body.body.get_binary_reader_for_operators()?.original_position();
    Ok((groups, module.bytes.get(first..end).unwrap_or_default()))
}
