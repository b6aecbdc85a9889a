//! A cost by what was varied.

use std::time::{Duration, Instant};

use asyncify_benches::table::{Unit, figure, grid, number};

pub(crate) struct Point {
    /// How much there was of what is varied.
    pub(crate) at: usize,
    /// Nanoseconds for one.
    pub(crate) ns: f64,
    /// Bytes that each parked call takes, where there are enough of them to tell.
    pub(crate) bytes: Option<u64>,
}

impl Point {
    pub(crate) fn new(at: usize, ns: f64) -> Self {
        Self { at, ns, bytes: None }
    }
}

pub(crate) struct Scale {
    title: &'static str,
    /// What is varied.
    what: &'static str,
    /// What is measured.
    cost: &'static str,
    points: Vec<Point>,
}

impl Scale {
    pub(crate) fn new(
        title: &'static str,
        what: &'static str,
        cost: &'static str,
        points: Vec<Point>,
    ) -> Self {
        Self { title, what, cost, points }
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![[self.what.to_owned(), self.cost.to_owned(), String::new()]];
        for Point { at, ns, bytes } in &self.points {
            let bytes = bytes.map_or_else(String::new, |bytes| format!("{bytes} B each"));
            lines.push([at.to_string(), figure(*ns, Unit::Ns), bytes]);
        }
        format!("{}\n\n{}", self.title, grid(&lines))
    }

    fn json(&self) -> String {
        let points = self.points.iter().map(|Point { at, ns, bytes }| {
            let bytes = bytes.map_or_else(String::new, |bytes| format!(r#", "bytes": {bytes}"#));
            format!(r#"    {{"at": {at}, "ns": {}{bytes}}}"#, number(*ns))
        });
        let points: Vec<_> = points.collect();
        format!(
            "  {{\"title\": \"{}\", \"what\": \"{}\", \"points\": [\n{}\n  ]}}",
            self.title,
            self.what,
            points.join(",\n")
        )
    }
}

/// All of them, as JSON.
pub(crate) fn json(scales: &[Scale]) -> String {
    let scales: Vec<_> = scales.iter().map(Scale::json).collect();
    format!("[\n{}\n]\n", scales.join(",\n"))
}

/// Nanoseconds for one of `n`.
pub(crate) fn per(n: u32, work: impl FnOnce(u32)) -> f64 {
    let start = Instant::now();
    work(n);
    per_item(start.elapsed(), n as usize)
}

/// Nanoseconds for one of `items`.
#[allow(clippy::cast_precision_loss, reason = "figures of this size are exact")]
pub(crate) fn per_item(took: Duration, items: usize) -> f64 {
    took.as_secs_f64() * 1e9 / items as f64
}

/// The least of some measurements: what a busy machine adds to one is in none of the others.
pub(crate) fn best_of(quick: bool, mut measure: impl FnMut() -> f64) -> f64 {
    let times = if quick { 5 } else { 40 };
    (0..times).map(|_| measure()).fold(f64::INFINITY, f64::min)
}
