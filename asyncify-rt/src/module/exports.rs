//! Names for what the runtime must reach: the module's own exports, else added ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use wasm_encoder::{Encode, ExportKind};
use wasmparser::ExternalKind;

use super::parse::Parsed;
use super::{build, sections};
use crate::error::Result;

/// Whether an export that was to be called `wanted` may be called `name`: as it is, or numbered.
pub(super) fn is_added_as(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|number| number.is_empty() || number.starts_with(':'))
}

/// The exports of a module, and those to be added to it.
pub(super) struct Exports<'a> {
    taken: HashSet<Cow<'a, str>>,
    globals: HashMap<u32, Vec<&'a str>>,
    memory: Option<&'a str>,
    added: Vec<Added>,
}

struct Added {
    name: String,
    kind: ExportKind,
    index: u32,
}

impl<'a> Exports<'a> {
    pub(super) fn new(parsed: &Parsed<'a>) -> Self {
        let mut globals: HashMap<u32, Vec<&'a str>> = HashMap::new();
        for (name, index) in parsed.exported(ExternalKind::Global) {
            globals.entry(index).or_default().push(name);
        }
        Self {
            taken: parsed.exports.iter().map(|export| Cow::Borrowed(export.name)).collect(),
            globals,
            memory: parsed.exported(ExternalKind::Memory).next().map(|(name, _)| name),
            added: Vec::new(),
        }
    }

    /// The export of the one memory.
    pub(super) fn memory(&mut self) -> String {
        match self.memory {
            Some(name) => name.to_owned(),
            // WASI's functions find the memory by this name.
            None => self.add("memory", ExportKind::Memory, 0),
        }
    }

    /// The export of a global, and other exports of it. An added one is called `wanted`, or
    /// numbered if it has no special name.
    pub(super) fn global(&mut self, index: u32, wanted: Option<&str>) -> (String, &[&'a str]) {
        if !self.globals.contains_key(&index) {
            let numbered = || format!("asyncify:global:{index}");
            let name =
                self.add(&wanted.map_or_else(numbered, str::to_owned), ExportKind::Global, index);
            return (name, &[]);
        }
        match self.globals.get(&index).map(Vec::as_slice) {
            Some([first, others @ ..]) => ((*first).to_owned(), others),
            _ => (String::new(), &[]),
        }
    }

    /// The export whose name says which build this is, of whatever the module has.
    pub(super) fn build(&mut self, parsed: &Parsed<'_>) {
        let kinds = [
            (ExportKind::Memory, !parsed.memories.is_empty()),
            (ExportKind::Func, parsed.has_functions()),
            (ExportKind::Global, !parsed.globals.is_empty()),
        ];
        if let Some((kind, _)) = kinds.into_iter().find(|(_, has)| *has) {
            self.add(&build::unwritten(), kind, 0);
        }
    }

    /// Says what became of that name.
    pub(super) fn rename_build(&mut self, digits: Option<&str>) {
        if let (Some(added), Some(digits)) = (self.added.last_mut(), digits)
            && build::is_name(&added.name)
        {
            added.name = build::name(digits);
        }
    }

    fn add(&mut self, wanted: &str, kind: ExportKind, index: u32) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2_u64;
        while !self.taken.insert(Cow::Owned(name.clone())) {
            name = format!("{wanted}:{number}");
            number += 1;
        }
        self.added.push(Added { name: name.clone(), kind, index });
        name
    }

    pub(super) fn added(self) -> Vec<String> {
        self.added.into_iter().map(|added| added.name).collect()
    }

    /// The export section with the added exports behind its own, if any was added.
    pub(super) fn section(&self, wasm: &[u8], parsed: &Parsed<'_>) -> Result<Option<Vec<u8>>> {
        if self.added.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for added in &self.added {
            added.name.encode(&mut entries);
            added.kind.encode(&mut entries);
            added.index.encode(&mut entries);
        }
        sections::extended(wasm, parsed, sections::EXPORT, self.added.len(), &entries).map(Some)
    }
}
