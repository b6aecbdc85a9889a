//! From the model to tokens. Nothing here fails: what could go wrong was told before.

pub(crate) mod exports;
pub(crate) mod imports;
mod parts;
mod pieces;

pub(crate) use pieces::{hidden, result};
