//! Why a module cannot be made suspendable.

/// What went wrong, with the function and the offset in the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no valid module.
    #[error("it is no valid module: {0}")]
    Invalid(#[from] wasmparser::Error),
    /// It is a component.
    #[error("it is a component; pass the core modules in it one by one")]
    Component,
    /// The module has something that cannot be carried across a wait.
    #[error("{what} cannot be made suspendable{}, at offset {offset:#x}", in_function(*.function))]
    Unsupported {
        /// What that is.
        what: String,
        /// The function that it stands in, by index.
        function: Option<u32>,
        /// Where it stands in the module.
        offset: usize,
    },
    /// The module has an export whose name is reserved.
    #[error(
        "it exports `{name}`, and names that begin with `asyncify:` are for what the pass adds; rename it"
    )]
    Reserved {
        /// The export.
        name: String,
    },
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn in_function(function: Option<u32>) -> String {
    function.map_or_else(String::new, |function| format!(", in function {function}"))
}

impl Error {
    #[cold]
    pub(crate) fn unsupported(what: &str, function: Option<u32>, offset: usize) -> Self {
        Self::Unsupported { what: what.to_owned(), function, offset }
    }

    /// What a valid module always has was not there.
    #[cold]
    pub(crate) fn internal(what: &str) -> Self {
        Self::unsupported(&format!("{what} that is not there"), None, 0)
    }
}
