//! Makes any core WebAssembly module suspendable.
//!
//! A module is taken as its compiler left it. What comes out has the same imports and exports, and
//! beside them what a host needs to let a call leave its frames where it has to wait, and to go on
//! with it later, with the answer that it waited for. It runs on any engine that has several
//! memories, and needs nothing of the engine's own.
//!
//! ```
//! use asyncify_pass::Pass;
//! # let wasm = b"\0asm\x01\0\0\0";
//! let instrumented = Pass::new().suspending("env", "fetch").run(wasm)?;
//! for entry in instrumented.exports() {
//!     println!("{} may suspend: call {}, and {}", entry.export(), entry.call(), entry.resume());
//! }
//! # Ok::<(), asyncify_pass::Error>(())
//! ```
//!
//! # The one idea
//!
//! Resume one frame at a time. A frame that goes on is not called by the frame that it was called
//! by, but by a loop: it takes the innermost frame, and calls that function's *companion*, which
//! restores what the frame holds, goes on behind the call, and leaves its results in globals. Then
//! the loop takes the next frame. So what a suspension costs depends on the frames that came and
//! went since the last one, and not on how deep it is; and nothing is ever called again.
//!
//! # How a host drives it
//!
//! What is added is exported under names that begin with `asyncify:`.
//!
//! | export | |
//! | --- | --- |
//! | `asyncify:frames` | the memory that frames are written to; no code of the module's can reach it |
//! | `asyncify:pos` | where the next one is written, an `i32`; what lies below is in use |
//! | `asyncify:state` | 0, but for a host that is called by a guest that leaves its frames |
//! | `asyncify:yield` | see [`Yields`] |
//! | `asyncify:call:NAME` | [`Entry::call`]: the export's parameters; its results, and a status |
//! | `asyncify:resume:N` | [`Entry::resume`]: where the frames end, and the answer as 64 bits; results and status |
//! | `asyncify:start` | the start function, where that may suspend: to be called first |
//!
//! 1. The host calls an entry. A status of 0 says that the call has ended.
//! 2. A suspending import says that its answer is pending: as the last thing it does it writes 1 as an
//!    `i32` to address 0 of the frame memory, and returns anything.
//! 3. The status of the entry is where the call's bytes end; they begin at `asyncify:pos`. The host
//!    copies them out, and may call whatever it likes.
//! 4. When the answer is there, it copies them to where `asyncify:pos` is then, and calls `resume` with
//!    where they end now, and with the answer: of a single number its bits, and 0 for an import that
//!    returns nothing. It is at 1 or at 3 again.
//!
//! After a trap the host writes back what `asyncify:pos` was before the call, and 0 to `asyncify:state`
//! and to the word at address 0.

mod added;
mod analyse;
mod body;
mod companion;
mod error;
mod frame;
mod live;
mod module;
mod pass;
mod run;
mod scan;
mod scanned;
mod seam;
mod write;

pub use error::{Error, Result};
pub use pass::{Entry, Instrumented, Pass, Yields};
