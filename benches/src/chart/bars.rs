//! What one side takes of the other, a bar for each row.

use crate::table::{Row, Unit, figure};

use super::canvas::{Anchor, Canvas, INK, Mark, OURS, Stroke, THEIRS};

const LEFT: f64 = 372.0;
const DECADE: f64 = 130.0;
/// From a hundredth to ten times.
const DECADES: (f64, f64) = (-2.0, 1.0);
const STEP: f64 = 24.0;
const TOP: f64 = 64.0;

/// The line is what fibers take; a bar to its left is how much less this library takes, and one to
/// its right how much more. The axis is logarithmic, so that twice and half are as long.
pub(super) fn ratios(rows: &[Row]) -> String {
    let steps = f64::from(u32::try_from(rows.len()).unwrap_or_default());
    let right = LEFT + DECADE * (DECADES.1 - DECADES.0);
    let bottom = TOP + STEP * steps;
    let title = "Time and memory: this library by fibers";
    let mut canvas = Canvas::new(right + 200.0, bottom + 32.0, title);
    canvas.legend(
        44.0,
        &[
            (Mark::Bar(OURS), "this library takes less"),
            (Mark::Bar(THEIRS), "fibers take less"),
            (Mark::Line(fibers()), "fibers"),
        ],
    );
    let place = |ratio: f64| {
        let inside = ratio.log10().clamp(DECADES.0, DECADES.1);
        LEFT + DECADE * (inside - DECADES.0)
    };
    for (ratio, label) in
        [(0.01, "0.01"), (0.1, "0.1"), (0.5, "0.5"), (1.0, "1"), (2.0, "2"), (10.0, "10")]
    {
        let x = place(ratio);
        let grid = Stroke { color: INK, width: 1.0, dashed: false, opacity: 0.3 };
        canvas.line((x, TOP - 4.0), (x, bottom), &grid);
        canvas.label((x, bottom + 18.0), Anchor::Middle, label);
    }
    let one = place(1.0);
    for (row, y) in rows.iter().zip((0_u32..).map(|row| TOP + STEP * f64::from(row))) {
        // More calls are better, so there it is the other way round.
        let (name, ratio, of, by) = match row.unit {
            Unit::Calls => {
                (format!("{}, inverted", row.name), row.theirs / row.ours, row.theirs, row.ours)
            }
            _ => (row.name.clone(), row.ratio, row.ours, row.theirs),
        };
        let base = y + 14.0;
        canvas.label((LEFT - 12.0, base), Anchor::End, &name);
        let x = place(ratio);
        let color = if ratio <= 1.0 { OURS } else { THEIRS };
        canvas.bar((x.min(one), y), (x - one).abs().max(1.0), 18.0, color);
        let text = format!("{ratio:.3} ({} : {})", figure(of, row.unit), figure(by, row.unit));
        canvas.label((right + 8.0, base), Anchor::Start, &text);
    }
    canvas.line((one, TOP - 4.0), (one, bottom), &fibers());
    canvas.finish()
}

fn fibers() -> Stroke {
    Stroke { color: INK, width: 2.0, dashed: true, opacity: 1.0 }
}
