//! What is found of the shadow stack.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Name, Names};

/// The shadow stack pointer: the global that compilers keep the stack of a language like C in
/// the guest's memory with.
///
/// `Display` says how it was told, so that it can be reported.
///
/// ```
/// # use asyncify::Prepared;
/// let prepared = Prepared::new(r#"(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 65536)))"#)?;
/// assert_eq!(
///     prepared.findings().stack_pointer().to_string(),
///     "the shadow stack pointer is the global exported as `__stack_pointer`: it is named `__stack_pointer`",
/// );
/// assert_eq!(prepared.findings().stack_pointer().export(), Some("__stack_pointer"));
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StackPointer {
    /// One global is it, for certain.
    Found {
        /// The export under which the global can be reached.
        export: String,
        /// How it was told.
        by: FoundBy,
    },
    /// The module has no shadow stack.
    Absent,
    /// There may be one, and which global it is cannot be told.
    Uncertain {
        /// What was found instead.
        reason: String,
    },
}

/// The two globals that the preparation adds to a module, so that no call runs over the end of its
/// shadow stack.
///
/// Each write that may lower the stack pointer is compared with the limit, and traps before
/// anything lies below it. Writes of values that come from elsewhere are not: a guest that switches
/// to a stack of its own, or gives one back, is not stopped. Code moves by this, so sections that
/// tell of places in it are left out: DWARF (`.debug_*`), `sourceMappingURL`, branch hints, and
/// what only linkers read. Names stay.
///
/// ```
/// # use asyncify::Prepared;
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/stack.wasm");
/// # let wasm = std::fs::read(GUEST).unwrap();
/// let prepared = Prepared::new(wasm)?;
/// let guard = prepared.findings().stack_guard().expect("it has a shadow stack");
/// assert_eq!((guard.limit(), guard.hit()), ("asyncify:stack:limit", "asyncify:stack:hit"));
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackGuard {
    pub(in crate::module) limit: String,
    pub(in crate::module) hit: String,
}

impl StackGuard {
    /// The global with the lowest address that the stack pointer may be lowered to; 0 at first.
    /// See [`StackGuard`] for an example.
    #[must_use]
    pub fn limit(&self) -> &str {
        &self.limit
    }

    /// The global with the address that a call was stopped from lowering the stack pointer to; -1
    /// while none was. See [`StackGuard`] for an example.
    #[must_use]
    pub fn hit(&self) -> &str {
        &self.hit
    }
}

/// How the shadow stack pointer was told.
///
/// ```
/// # use asyncify::{FoundBy, Prepared, StackPointer};
/// let prepared = Prepared::new(r#"(module (memory 2)
///     (global $sp (mut i32) (i32.const 65536))
///     (func (local $frame i32)
///         (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 16))))
///         (i32.store (local.get $frame) (i32.const 1))
///         (global.set $sp (i32.add (local.get $frame) (i32.const 16)))))"#)?;
/// let StackPointer::Found { by, .. } = prepared.findings().stack_pointer() else { panic!() };
/// assert_eq!(by, &FoundBy::Use { functions: 1 });
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FoundBy {
    /// The global has this name, in the name section, as an import or as an export.
    Name(String),
    /// The functions with these names read and write it.
    Functions(Vec<String>),
    /// Functions lower it by their frames, use these, and put it back; nothing is done with it that
    /// is not done with a stack pointer, and it starts where a stack may. Of no other global is
    /// that so.
    Use {
        /// How many functions do.
        functions: u32,
    },
}

impl StackPointer {
    /// The export under which the global can be reached, if it is certain.
    /// See [`StackPointer`] for an example.
    #[must_use]
    pub fn export(&self) -> Option<&str> {
        match self {
            Self::Found { export, .. } => Some(export),
            Self::Absent | Self::Uncertain { .. } => None,
        }
    }
}

impl fmt::Display for StackPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { export, by } => write!(
                f,
                "the shadow stack pointer is the global exported as {}: {by}",
                Name(export)
            ),
            Self::Absent => f.write_str(
                "there is no shadow stack: the code writes no global as a stack pointer is written",
            ),
            Self::Uncertain { reason } => {
                write!(f, "the shadow stack pointer cannot be told: {reason}")
            }
        }
    }
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "it is named {}", Name(name)),
            Self::Functions(names) => {
                write!(f, "it is what {} moves or reads", Names(names))
            }
            Self::Use { functions: 1 } => {
                f.write_str("a function keeps its frame below it, and nothing else is done with it")
            }
            Self::Use { functions } => {
                write!(
                    f,
                    "{functions} functions keep their frames below it, and nothing else is done with it"
                )
            }
        }
    }
}
