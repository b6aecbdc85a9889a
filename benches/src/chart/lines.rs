//! A cost by what was varied, a line for each side.

use crate::table::{Unit, figure};

use super::canvas::{Anchor, Canvas, INK, Mark, OURS, Stroke, THEIRS};

/// One line, and how many of its points were measured; the others only lead it on.
pub(super) struct Line {
    name: String,
    color: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
    marks: usize,
}

impl Line {
    pub(super) fn ours(name: String) -> Self {
        Self { name, color: OURS, dashed: false, points: Vec::new(), marks: 0 }
    }

    pub(super) fn fibers(name: String) -> Self {
        Self { name, color: THEIRS, dashed: true, points: Vec::new(), marks: 0 }
    }

    /// Through points that were measured.
    pub(super) fn through(self, points: Vec<(f64, f64)>) -> Self {
        Self { marks: points.len(), points, ..self }
    }

    /// Level, from the one point that was measured.
    pub(super) fn level(self, from: (f64, f64), to: f64) -> Self {
        Self { points: vec![from, (to, from.1)], marks: 1, ..self }
    }

    fn stroke(&self) -> Stroke {
        Stroke { color: self.color, width: 2.0, dashed: self.dashed, opacity: 1.0 }
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 64.0;

/// Both axes are logarithmic: a line that rises by one for one is linear growth. What none of
/// something costs stands at the left edge.
pub(super) fn growth(title: &str, what: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let none = points().any(|point| point.0 < 1.0);
    let (left, right) = decades(points().map(|point| point.0.max(1.0)));
    // Room for none of it, left of one.
    let left = if none { left - 1.0 } else { left };
    let (low, high) = decades(points().map(|point| point.1));
    let across = |x: f64| {
        let exponent = if x < 1.0 { left } else { x.log10() };
        LEFT + (exponent - left) / (right - left) * WIDTH
    };
    let up = |y: f64| TOP + (1.0 - (y.log10() - low) / (high - low)) * HEIGHT;

    let mut canvas = Canvas::new(LEFT + WIDTH + 40.0, TOP + HEIGHT + 48.0, title);
    let legend: Vec<_> =
        lines.iter().map(|line| (Mark::Line(line.stroke()), line.name.as_str())).collect();
    canvas.legend(44.0, &legend);
    let grid = Stroke { color: INK, width: 1.0, dashed: false, opacity: 0.3 };
    for exponent in exponents(low, high) {
        let y = up(10_f64.powi(exponent));
        canvas.line((LEFT, y), (LEFT + WIDTH, y), &grid);
        canvas.label((LEFT - 8.0, y + 4.0), Anchor::End, &time(exponent));
    }
    let foot = TOP + HEIGHT + 18.0;
    if none {
        canvas.label((LEFT, foot), Anchor::Middle, "0");
    }
    for exponent in exponents(left, right).filter(|exponent| *exponent >= 0) {
        canvas.label((across(10_f64.powi(exponent)), foot), Anchor::Middle, &whole(exponent));
    }
    canvas.label((LEFT + WIDTH / 2.0, foot + 20.0), Anchor::Middle, what);
    for line in lines {
        let path: Vec<_> = line.points.iter().map(|&(x, y)| (across(x), up(y))).collect();
        canvas.path(&path, &line.stroke());
        for point in path.into_iter().take(line.marks) {
            canvas.dot(point, line.color);
        }
    }
    canvas.finish()
}

/// The whole powers of ten around some figures, as exponents.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value.log10().floor());
        high = high.max(value.log10().ceil());
    }
    if low.is_finite() && high > low { (low, high) } else { (0.0, 1.0) }
}

#[allow(clippy::cast_possible_truncation, reason = "they are whole, and few")]
fn exponents(low: f64, high: f64) -> impl Iterator<Item = i32> {
    low as i32..=high as i32
}

/// A power of ten of nanoseconds.
fn time(exponent: i32) -> String {
    let (unit, below) = match exponent {
        ..3 => ("ns", 0),
        3..6 => ("µs", 3),
        6..9 => ("ms", 6),
        _ => ("s", 9),
    };
    format!("{} {unit}", whole(exponent - below))
}

/// A power of ten.
fn whole(exponent: i32) -> String {
    figure(10_f64.powi(exponent), Unit::Calls)
}
