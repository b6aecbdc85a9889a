//! Which functions can be unwound, and which were left out.

use serde::{Deserialize, Serialize};

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
