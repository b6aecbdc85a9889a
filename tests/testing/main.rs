//! `asyncify::testing`: imports called without a guest, in a guest's own terms.

#![allow(
    clippy::many_single_char_names,
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    clippy::unused_async,
    clippy::unused_self,
    reason = "the hosts have every kind of function, and do nothing"
)]

mod calls;
mod kinds;
