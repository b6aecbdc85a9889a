//! The figures that were kept, as both benches write them down.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::table::{Row, Unit};

/// `fibers.json`, a row each. Which of the pairs is there says what was counted.
#[derive(Deserialize)]
struct Kept {
    row: String,
    ratio: f64,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counted {
    Ns { ours_ns: f64, theirs_ns: f64 },
    Bytes { ours_bytes: f64, theirs_bytes: f64 },
    Calls { ours_calls: f64, theirs_calls: f64 },
}

impl From<Kept> for Row {
    fn from(Kept { row, ratio, counted }: Kept) -> Self {
        let (unit, ours, theirs) = match counted {
            Counted::Ns { ours_ns, theirs_ns } => (Unit::Ns, ours_ns, theirs_ns),
            Counted::Bytes { ours_bytes, theirs_bytes } => (Unit::Bytes, ours_bytes, theirs_bytes),
            Counted::Calls { ours_calls, theirs_calls } => (Unit::Calls, ours_calls, theirs_calls),
        };
        Self { name: row, unit, ours, theirs, ratio, at_most: None }
    }
}

/// One of `scaling.json`: a cost by what was varied.
#[derive(Deserialize)]
pub struct Growth {
    /// What it is about.
    pub title: String,
    /// What was varied.
    pub what: String,
    /// How much of it there was, and what one then cost.
    pub points: Vec<Point>,
}

/// A measured point.
#[derive(Deserialize)]
pub struct Point {
    /// How much there was of what was varied.
    pub at: f64,
    /// Nanoseconds for one.
    pub ns: f64,
}

/// The rows of `fibers.json`.
pub fn rows(folder: &Path) -> Vec<Row> {
    read::<Kept>(folder, "fibers.json").into_iter().map(Row::from).collect()
}

/// The scales of `scaling.json`.
pub fn growths(folder: &Path) -> Vec<Growth> {
    read(folder, "scaling.json")
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Vec<T> {
    let text = std::fs::read_to_string(folder.join(name)).expect("the figures are there");
    serde_json::from_str(&text).expect("they are as the benches write them")
}
