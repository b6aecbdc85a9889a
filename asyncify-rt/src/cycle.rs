//! The cycle of a call on one guest: enter, park, resume, end, or fail. The only room that changes
//! where a call stands.
//!
//! ```text
//!   enter ----> runs ----> end
//!                |  ^
//!  an import     |  | resume
//!  waits         v  |
//!               parked: a record in the table, the guest's lock free
//! ```
//!
//! How a guest leaves its frames and enters them again is not known here: see `suspend`.

mod call_state;
mod fail;
mod import;
mod locked;
mod nested;
mod outcome;
mod room;
mod run;
mod shadow;

pub(crate) use fail::{check_poison, discard, take_dead};
pub(crate) use import::{Entered, enter_plain, enter_suspending, suspend_in};
pub(crate) use nested::{enter_trampoline, leave_trampoline, let_through};
pub(crate) use outcome::Outcome;
pub(crate) use run::{enter, resume};
