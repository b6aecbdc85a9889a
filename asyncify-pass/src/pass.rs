//! The pass: its options, and what it gives.

use std::collections::HashSet;

use crate::analyse::{Why, analyse};
use crate::error::{Error, Result};
use crate::module::Module;
use crate::run::{PREFIX, Run};

/// Where a function gives way, if the host says so: `asyncify:yield` is counted down at each such
/// place, and where it becomes 0 the call suspends. So 1 suspends at the next place, and 0 never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Yields {
    /// Nowhere.
    #[default]
    None,
    /// At the beginning of each function and of each loop.
    Heads,
    /// Before every operator. This is for tests.
    Everywhere,
}

/// Makes modules suspendable. See the [crate](crate) for an example.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    suspending: Vec<(String, String)>,
    pub(crate) yields: Yields,
    shared_tables: bool,
    pub(crate) most_pages: Option<u64>,
}

/// A module that can be suspended.
#[derive(Clone, Debug)]
pub struct Instrumented {
    wasm: Vec<u8>,
    entries: Vec<Entry>,
    start: Option<Entry>,
    paths: Vec<(u32, Why)>,
    missing: Vec<String>,
}

/// A function that may suspend, and what drives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) export: String,
    pub(crate) call: String,
    pub(crate) resume: String,
}

impl Entry {
    /// The export; empty for a start function.
    #[must_use]
    pub fn export(&self) -> &str {
        &self.export
    }

    /// The export that begins a call.
    #[must_use]
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The export that goes on with one.
    #[must_use]
    pub fn resume(&self) -> &str {
        &self.resume
    }
}

impl Instrumented {
    /// The module's bytes.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// The exported functions that may suspend.
    #[must_use]
    pub fn exports(&self) -> &[Entry] {
        &self.entries
    }

    /// The start function, if that may suspend: then the engine does not call it, and the host is to
    /// call it first.
    #[must_use]
    pub fn start(&self) -> Option<&Entry> {
        self.start.as_ref()
    }

    /// The imports that were to suspend, and that the module does not have, as `module.name`. Where
    /// that is not expected, a name is misspelt.
    #[must_use]
    pub fn not_imported(&self) -> &[String] {
        &self.missing
    }

    /// Why a function may suspend: the functions from there to an import, or to one that yields, by
    /// index. Empty if it cannot.
    #[must_use]
    pub fn path(&self, function: u32) -> Vec<u32> {
        let mut path = Vec::new();
        let mut at = Some(function);
        while let Some(function) = at
            && let Ok(found) = self.paths.binary_search_by_key(&function, |(of, _)| *of)
        {
            path.push(function);
            at = match self.paths.get(found) {
                Some((_, Why::Calls(callee))) => Some(*callee),
                _ => None,
            };
        }
        path
    }
}

impl Pass {
    /// A pass for which nothing suspends yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the import `module.name` suspend.
    #[must_use]
    pub fn suspending(mut self, module: &str, name: &str) -> Self {
        self.suspending.push((module.to_owned(), name.to_owned()));
        self
    }

    /// Lets functions give way.
    #[must_use]
    pub fn yields(mut self, yields: Yields) -> Self {
        self.yields = yields;
        self
    }

    /// Takes modules that import or export a table of functions. Through one, another instance's
    /// function may be called: if that suspends, the functions of this module that called it go on
    /// at once, with a result that means nothing. So such tables must not hold any.
    #[must_use]
    pub fn shared_tables(mut self) -> Self {
        self.shared_tables = true;
        self
    }

    /// The most pages of 64 KiB that the frame memory may have: 16,384 unless it is set.
    #[must_use]
    pub fn frame_pages(mut self, pages: u64) -> Self {
        self.most_pages = Some(pages);
        self
    }

    /// Makes a module suspendable. The same bytes and options give the same bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Component`] if the bytes are no core module;
    /// [`Error::Unsupported`] if something in it cannot be carried across a wait, by function and
    /// offset; [`Error::Reserved`] if it exports a name that is reserved.
    pub fn run(&self, wasm: &[u8]) -> Result<Instrumented> {
        let module = Module::parse(wasm)?;
        if let Some(export) = module.exports.iter().find(|export| export.name.starts_with(PREFIX)) {
            return Err(Error::Reserved { name: export.name.to_owned() });
        }
        let imports = self.imports(&module);
        let missing = self.missing(&module);
        let suspending = analyse(&module, &imports, self.yields)?;
        let mut paths: Vec<_> = (0..u32::try_from(module.functions.len()).unwrap_or(u32::MAX))
            .filter_map(|function| Some((function, suspending.why(function)?)))
            .collect();
        paths.sort_unstable_by_key(|(function, _)| *function);
        if paths.is_empty() {
            let (wasm, entries, start) = (wasm.to_vec(), Vec::new(), None);
            return Ok(Instrumented { wasm, entries, start, paths, missing });
        }
        self.check(&module, &imports)?;
        let mut run = Run::new(self, &module, &suspending);
        run.functions()?;
        let (entries, start) = run.entries()?;
        let wasm = run.finish()?;
        Ok(Instrumented { wasm, entries, start, paths, missing })
    }

    fn imports(&self, module: &Module<'_>) -> Vec<u32> {
        let suspends = |import: &crate::module::Import<'_>| {
            self.suspending.iter().any(|(of, name)| of == import.module && name == import.name)
        };
        let found = module.imports.iter().filter(|import| suspends(import));
        found.filter_map(|import| import.function).collect()
    }

    fn missing(&self, module: &Module<'_>) -> Vec<String> {
        let is_there = |(of, name): &&(String, String)| {
            let mut functions = module.imports.iter().filter(|import| import.function.is_some());
            functions.any(|import| import.module == of && import.name == name)
        };
        let missing = self.suspending.iter().filter(|import| !is_there(import));
        missing.map(|(of, name)| format!("{of}.{name}")).collect()
    }

    fn check(&self, module: &Module<'_>, imports: &[u32]) -> Result<()> {
        if module.shares_table && !self.shared_tables {
            return Err(Error::unsupported("a table that is imported or exported", None, 0));
        }
        let mut referred: HashSet<u32> = module.referred.iter().copied().collect();
        for body in &module.bodies {
            for operator in body.body.get_operators_reader()? {
                if let wasmparser::Operator::RefFunc { function_index } = operator? {
                    referred.insert(function_index);
                }
            }
        }
        match imports.iter().find(|import| referred.contains(import)) {
            Some(import) => {
                Err(Error::unsupported("a reference to a suspending import", Some(*import), 0))
            }
            None => Ok(()),
        }
    }
}
