//! Plain data and rules: no engine, no store, and no lock is held here while anything else runs.
//!
//! What stands in this room can be tested alone, and is.

pub(crate) mod line;
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod mail;
pub(crate) mod memory;
pub(crate) mod nesting;
pub(crate) mod parked;
pub(crate) mod passed;
pub(crate) mod shadow;
pub(crate) mod turns;
pub(crate) mod waker;
pub(crate) mod window;
