//! x
mod abi;
mod builder;
mod call;
mod cx;
mod cycle;
mod deadline;
mod error;
mod exports;
mod function;
mod guest;
mod imports;
mod limits;
mod link;
mod lock;
mod machine;
mod mail;
mod marshal;
mod memory;
mod module;
mod parked;
#[doc(hidden)]
pub mod private;
mod room;
mod shadow_stack;
mod state;
mod trace;
pub mod testing;
mod window;

pub use builder::Builder;
pub use call::Call;
pub use cx::GuestCx;
pub use deadline::Ticker;
pub use error::{BoxError, Error, Result, Trap};
pub use exports::{AsyncExports, ExportInfo, Exports};
pub use function::{AsyncFunction, TypedAsyncFunction};
pub use guest::{Guest, WeakGuest};
pub use imports::{AsyncImports, ImportInfo, ImportMismatch, ImportResult, Imports};
pub use limits::{Limits, Stats};
pub use marshal::{
    Errno, FromGuest, FromGuestError, GuestError, GuestPtr, IntoGuest, Lent, OutBuf, ParamInfo,
    Slice, ValueType,
};
pub use memory::OutOfBounds;
pub use module::{
    Allocator, Findings, FoundBy, GlobalKind, Instrumentation, MemoryFinding, Module,
    MutableGlobal, PointerWidth, Prepared, StackPointer,
};
pub use room::Place;
pub use shadow_stack::StackPolicy;
pub use state::State;
