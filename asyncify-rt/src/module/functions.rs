//! Which functions can be unwound, and which were left out.

use serde::{Deserialize, Serialize};

use super::Findings;
use crate::error::Name;

/// A set of functions: a bit for each, by its index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Functions(Vec<u8>);

impl Functions {
    pub(super) fn insert(&mut self, function: u32) {
        let byte = function as usize / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (function % 8);
    }

    pub(super) fn contains(&self, function: u32) -> bool {
        let byte = self.0.get(function as usize / 8);
        byte.is_some_and(|byte| byte & 1 << (function % 8) != 0)
    }
}

/// Who may change a table of functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tables {
    /// The module itself.
    pub(super) changed: bool,
    /// Whoever it is exported to, or imported from.
    pub(super) shared: bool,
}

/// Functions that call on without looking at Asyncify's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Callers {
    /// The names of all functions below; those refer to them by position, because one function
    /// may call many imports.
    pub(super) names: Vec<String>,
    pub(super) of_imports: Vec<ImportCallers>,
    pub(super) left_out: Vec<u32>,
    /// Functions that set Asyncify's state.
    pub(super) driving: Vec<u32>,
    /// Functions that call through a table and cannot be unwound.
    pub(super) indirect: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImportCallers {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) callers: Vec<u32>,
}

impl Callers {
    pub(super) fn names<'a>(&'a self, positions: &'a [u32]) -> impl Iterator<Item = &'a str> {
        positions
            .iter()
            .filter_map(|position| self.names.get(usize::try_from(*position).ok()?))
            .map(String::as_str)
    }
}

impl Findings {
    /// Whether the module may set Asyncify's state itself.
    pub(crate) fn drives(&self) -> bool {
        self.asyncify.as_ref().is_some_and(|asyncify| !asyncify.sealed)
    }

    /// What may be the matter where guest and host disagree about where a call stands; with `others`,
    /// there are other instances in the guest's store.
    pub(crate) fn causes(&self, others: bool) -> String {
        let of = |functions: Vec<&str>| list(&functions);
        let mut causes = Vec::new();
        if let Some(functions) = of(self.driving()) {
            causes.push(format!(
                "the guest waited below {functions}, which drive Asyncify themselves"
            ));
        } else if self.drives() {
            causes.push("others set Asyncify's state, as the module lets them".to_owned());
        }
        if let Some(functions) = of(self.uninstrumented()) {
            causes.push(format!("it waited below {functions}, left out of the instrumentation"));
        }
        if let Some(functions) = of(self.indirect_callers()) {
            causes.push(format!("it waited below {functions}, which call through a table and were left out by `asyncify-ignore-indirect` or a list"));
        }
        if self.tables.changed || self.tables.shared {
            causes.push(
                "a table was changed while a call that had gone through it was parked".to_owned(),
            );
        }
        if others {
            causes.push("another instance in the store was on the way".to_owned());
        }
        causes.push("a function that was linked by hand called the guest on the way".to_owned());
        causes.push("a later tool changed what Binaryen instrumented".to_owned());
        match causes.as_slice() {
            [first @ .., last] => format!("{}, or that {last}", first.join(", that ")),
            [] => String::new(),
        }
    }
}

/// Some of the functions, as they stand in a sentence.
fn list(functions: &[&str]) -> Option<String> {
    const SHOWN: usize = 4;
    let names: Vec<_> = functions.iter().take(SHOWN).map(|name| Name(name).to_string()).collect();
    let more = if functions.len() > SHOWN { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}
