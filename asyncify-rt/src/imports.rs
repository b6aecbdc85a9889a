//! What a host offers its guests: registration, and what happens when an import is called.
//!
//! Nothing in this room knows a guest's exports, or runs wasm.

mod dispatch;
mod dynamic;
mod info;
mod list;
mod names;
mod parts;
mod task;

pub(crate) use dynamic::zeros;
pub use info::{ImportInfo, ImportResult};
pub use list::{AsyncImports, Imports, host_wasm_opt_args};
pub use parts::{ListedBy, PartOf, is_listed, is_part, join, total};
