//! How a run of wasm ended.

use crate::error::{Boxed, Error};
use crate::parts::parked::Key;
use crate::store::{Saved, Suspended};

/// How a run of wasm ended. What it returned is not in here: the caller's closure keeps that, so
/// that it is written once and moved nowhere.
pub(crate) enum Outcome {
    Returned,
    Parked { key: Key, pending: Suspended, saved: Option<Box<Saved>> },
}

#[cold]
pub(super) fn gone() -> Boxed {
    Error::out_of_step("the call's record is gone".to_owned()).into()
}
