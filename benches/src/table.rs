//! Figures: measured in pairs, printed as a table, written down as JSON.

use std::fmt::Write as _;
use std::path::Path;

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Bytes.
    Bytes,
    /// Calls.
    Calls,
}

impl Unit {
    /// Its name in the JSON's keys.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Bytes => "bytes",
            Self::Calls => "calls",
        }
    }
}

/// One row: both sides, and the median of their ratios.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// This library's figure.
    pub ours: f64,
    /// The other side's.
    pub theirs: f64,
    /// Ours by theirs.
    pub ratio: f64,
    /// What the ratio should not exceed, if that was decided.
    pub at_most: Option<f64>,
}

impl Row {
    /// A row of two figures that were taken once.
    pub fn of(name: &str, unit: Unit, ours: f64, theirs: f64, at_most: Option<f64>) -> Self {
        Self { name: name.to_owned(), unit, ours, theirs, ratio: ours / theirs, at_most }
    }
}

/// The middle one of some figures.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.get(middle) {
        None => f64::NAN,
        Some(upper) if figures.len() % 2 == 1 => *upper,
        Some(upper) => (figures[middle - 1] + upper) / 2.0,
    }
}

/// A figure with as many digits as it is worth.
pub fn figure(value: f64, unit: Unit) -> String {
    match (unit, value) {
        (Unit::Calls, _) => grouped(value),
        (Unit::Bytes, 10_000.0..) => format!("{:.1} KiB", value / 1024.0),
        (Unit::Bytes, _) => format!("{value:.0} B"),
        (Unit::Ns, 10_000_000.0..) => format!("{:.1} ms", value / 1e6),
        (Unit::Ns, 10_000.0..) => format!("{:.1} µs", value / 1e3),
        (Unit::Ns, ..10.0) => format!("{value:.1} ns"),
        (Unit::Ns, _) => format!("{value:.0} ns"),
    }
}

/// A whole number, in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// The rows as a table, the ratio last.
pub fn render(rows: &[Row], theirs: &str) -> String {
    let head = [
        String::new(),
        "ours".to_owned(),
        theirs.to_owned(),
        "at most".to_owned(),
        "ratio".to_owned(),
    ];
    let mut lines = vec![head];
    for row in rows {
        let at_most = row.at_most.map_or_else(String::new, |at_most| format!("{at_most:.2}"));
        let late = row.at_most.is_some_and(|at_most| row.ratio > at_most);
        lines.push([
            row.name.clone(),
            figure(row.ours, row.unit),
            figure(row.theirs, row.unit),
            at_most,
            format!("{:.3}{}", row.ratio, if late { " !" } else { "" }),
        ]);
    }
    grid(&lines)
}

/// Lines of cells, as a Markdown table.
pub fn grid<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default().max(3)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(*width);
                let (first, last) = if column == 0 { ("-", "-") } else { ("-", ":") };
                text = text + "| " + first + &dashes[2..] + last + " ";
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The rows as JSON: a list of `{row, ours_ns, theirs_ns, ratio}`, with the unit in the names.
pub fn json(rows: &[Row]) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let unit = row.unit.key();
            format!(
                r#"  {{"row": "{}", "ours_{unit}": {}, "theirs_{unit}": {}, "ratio": {:.3}}}"#,
                row.name,
                number(row.ours),
                number(row.theirs),
                row.ratio
            )
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// A number as JSON takes it.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        "null".to_owned()
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Writes a file into the folder of the documentation's figures.
pub fn write(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(folder.join(name), text).expect("the file can be written");
}
