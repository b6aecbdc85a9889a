//! The guest in hand: its memory, its plain exports, the user's data.
//!
//! A thin face of `Vm` for host functions. Nothing here changes where a call stands.

mod call_state;
mod calls;
mod hand;

pub use call_state::CallState;
pub use hand::GuestCx;
