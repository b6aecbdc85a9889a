//! What the benches share: the guests, both sides that run them, and how figures are shown.

#[cfg(feature = "fibers")]
pub mod by_hand;
pub mod chart;
pub mod drive;
pub mod figures;
pub mod host;
pub mod ours;
pub mod process;
pub mod table;

use std::path::{Path, PathBuf};

/// Where the project is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The guest of that name, as `examples/guests` has it.
pub fn guest(name: &str) -> PathBuf {
    root().join("examples/guests").join(name).with_extension("wasm")
}

/// Where figures and charts go.
pub fn docs() -> PathBuf {
    root().join("docs/bench")
}
