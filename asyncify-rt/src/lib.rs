//! The runtime of `asyncify`: parks and resumes calls into guests that Binaryen's Asyncify pass
//! rewrote, on wasmtime.
//!
//! Use the crate `asyncify-wasm`, which is this one with its attributes and a guide. What follows
//! is for those who want to know what happens, or to read the source.
//!
//! # The protocol
//!
//! An instrumented module has two globals: a *state* (0 normal, 1 unwinding, 2 rewinding), and
//! *data*, the address of a struct with the two addresses `pos` and `end`. While unwinding, each
//! frame pushes its locals at `pos`; while rewinding, it pops them. The struct and the room behind
//! it are the *window*. Source of the rules: Binaryen's `src/passes/Asyncify.cpp`.
//!
//! ```text
//!                    an export is called          the future is ready:
//!                      |                          frames back, called again
//!                      v                            v
//!   returned <----- Normal <-- the import --- Rewinding
//!                      |       is reached
//!      an import waits |
//!                      v
//!                  Unwinding --> the export returns --> parked
//! ```
//!
//! 1. An export is called in state `Normal`.
//! 2. It calls an import whose future is not ready when it is polled once. The window is made
//!    empty, the state becomes `Unwinding`, and the import returns zeros.
//! 3. The guest unwinds, and the export returns something that means nothing. The frames' bytes
//!    are copied out of the window; with its part of the shadow stack they are the parked call.
//! 4. The guest is unlocked. Other calls may run, park and end.
//! 5. The future is ready. The guest is locked, the bytes and the shadow stack are put back, the
//!    state becomes `Rewinding`, and the same export is called again. Its arguments do not matter.
//! 6. The same import is reached: the state becomes `Normal`, `pos` must be where the window
//!    begins, and the import returns the answer.
//! 7. The export returns: it has ended, or it is at 3 again.
//!
//! # What is promised
//!
//! - **A parked call holds no lock**, and nothing in the guest that another call could trip over.
//!   Any number can be parked in one instance, and they end in any order.
//! - **A lock is held only within one poll**, or one `try_…`. No task is spawned, no executor is
//!   assumed, and no call blocks the thread to wait for another.
//! - **A [`Call`] is `Send` and `'static`.** Dropping it locks nothing and runs no wasm; what it
//!   held in the guest is collected by whoever locks the guest next. A [`PlainCall`], which cannot
//!   park, borrows its function instead.
//! - **A fault is an error, never a wrong answer**, as far as it can be noticed: a frame that was
//!   not instrumented, a host frame in between, an overflow of the window or of a region, another
//!   signature. Where it can be told when the module is loaded or linked, it is told then.
//! - **A guest is not trusted.** Whatever it passes is checked before it is used. It can spoil its
//!   own calls, and nothing of the host's.
//! - **A panic in a host function goes on through the poll**, and leaves the guest poisoned and
//!   unlocked.
//! - **No `unsafe`**, and wasmtime without its feature `async`.
//!
//! What is not promised: that a guest which traps keeps its own promises. What its frames held is
//! lost, so a trap poisons it, as a panic poisons a `Mutex`; see [`Guest::clear_poison`].
//!
//! # A guest by hand
//!
//! ```
//! use asyncify::wasmtime::{Engine, FuncType};
//! use asyncify::{AsyncImports, Guest, ImportResult, Module};
//! # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
//!
//! # futures::executor::block_on(async {
//! let engine = Engine::default();
//! # let module = Module::from_file(&engine, GUEST)?;
//! let mut imports = AsyncImports::new();
//! imports.define("env", "yield_now", FuncType::new(&engine, [], []), |_, _| {
//!     Ok(ImportResult::wait(async {
//!         tokio::task::yield_now().await;
//!         Ok(vec![])
//!     }))
//! });
//!
//! let guest = Guest::builder(&module)
//!     .async_imports(imports)
//!     .trap_unknown_imports()
//!     .instantiate()
//!     .await?;
//! let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
//! let (a, b) = futures::join!(spin.call((3,)), spin.call((4,)));
//! a?;
//! b?;
//! assert_eq!(guest.stats().await?.suspensions, 7);
//! # Ok::<(), asyncify::Error>(())
//! # }).unwrap();
//! ```

mod cx;
mod cycle;
mod error;
mod guest;
mod imports;
mod limits;
mod marshal;
mod module;
mod parts;
#[doc(hidden)]
pub mod private;
mod store;
mod suspend;
pub mod testing;
mod trace;

pub use cx::{CallState, GuestCx};
pub use error::{BoxError, Error, ImportMismatch, Result, Trap};
pub use guest::{
    AsyncExports, AsyncFunction, Builder, Call, ExportInfo, Exports, Guest, Guests, PlainCall,
    PooledGuest, TypedAsyncFunction, WeakGuest,
};
pub use imports::{AsyncImports, ImportInfo, ImportResult, Imports};
pub use limits::{Limits, Stats, Ticker};
pub use marshal::{
    Errno, FromGuest, FromGuestError, GuestError, GuestPtr, IntoGuest, Lent, OutBuf, ParamInfo,
    TooSmall, ValueType,
};
pub use module::{
    Allocator, Findings, FoundBy, GlobalKind, Instrumentation, MemoryFinding, Module,
    MutableGlobal, Prepared, StackGuard, StackPointer,
};
pub use parts::memory::{OutOfBounds, PointerWidth, Slice};
pub use parts::shadow::StackPolicy;
pub use store::{Place, State};
