//! Every way in which loading, linking or calling a guest can fail, and how that is told.
//!
//! Nothing in this room knows a store or a guest.

mod allocator;
mod causes;
mod errors;
mod kind;
mod message;
mod mismatch;
mod name;
mod signature;
mod stack;
#[cfg(test)]
mod tests;
mod text;
mod thin;
mod trap;
mod wasm_opt;

pub use errors::Error;
pub use mismatch::ImportMismatch;
#[cfg(feature = "tracing")]
pub(crate) use name::Text;
pub(crate) use name::{Name, is_plain};
pub(crate) use signature::{signature, signature_of};
pub(crate) use stack::{frame_name, frames_of};
pub(crate) use text::{Names, nearest};
pub(crate) use thin::{Boxed, Thin};
pub use trap::Trap;
pub(crate) use wasm_opt::{arguments as wasm_opt_arg_list, command as wasm_opt_args};

/// The result of everything here that can fail.
///
/// ```
/// use asyncify::{Module, Result, wasmtime::Engine};
///
/// fn load(engine: &Engine) -> Result<Module> {
///     Module::from_file(engine, "guest.async.wasm")
/// }
/// # assert!(load(&Engine::default()).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of any type.
///
/// ```
/// let error: asyncify::BoxError = "the disk is full".into();
/// assert_eq!(error.to_string(), "the disk is full");
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
