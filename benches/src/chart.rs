//! Charts of the kept figures, as SVG: bars for ratios, lines for growth. They show on light and
//! dark pages.

mod bars;
mod canvas;
mod lines;

use std::path::Path;

use crate::figures::{Growth, growths, rows};
use crate::table::{self, Row};

use lines::Line;

/// Each chart's file, and its text, from the figures that `folder` keeps.
pub fn all(folder: &Path) -> Vec<(&'static str, String)> {
    let (rows, growths) = (rows(folder), growths(folder));
    let mut charts = vec![("fibers.svg", bars::ratios(&rows))];
    for growth in &growths {
        charts.extend(lines_of(growth, &rows));
    }
    charts
}

/// Draws all of them anew.
pub fn draw(folder: &Path) {
    for (name, svg) in all(folder) {
        table::write(folder, name, &svg);
    }
}

/// The lines of what is comparable: what this library takes, and what fibers do.
fn lines_of(growth: &Growth, rows: &[Row]) -> Option<(&'static str, String)> {
    let theirs = |row: &str| rows.iter().find(|kept| kept.name == row).map(|kept| kept.theirs);
    let points = growth.points.iter().map(|point| (point.at, point.ns)).collect();
    let (file, ours, fibers) = match growth.what.as_str() {
        "calls parked" => {
            let alone = theirs("suspend and resume, 3 frames")?;
            let most = theirs("the most calls suspended in one process")?;
            // They end at the most that a process can have.
            let name = format!("fibers, alone in an instance; {most} in a process at most");
            let line = Line::fibers(name).level((1.0, alone), most);
            ("parked.svg", "this library, one among them", line)
        }
        "frames" => {
            let rows = [0_u32, 3, 10, 100];
            let points = rows.iter().filter_map(|&frames| {
                let row = format!("suspend and resume, {frames} frames");
                Some((f64::from(frames), theirs(&row)?))
            });
            let line = Line::fibers("fibers".to_owned()).through(points.collect());
            ("frames.svg", "this library", line)
        }
        "bytes" => {
            let number = theirs("async import, ready at once")?;
            let end = growth.points.last()?.at;
            let name = "fibers, which are handed a number and no bytes".to_owned();
            let line = Line::fibers(name).level((0.0, number), end);
            ("bytes.svg", "this library, which copies them", line)
        }
        _ => return None,
    };
    let ours = Line::ours(ours.to_owned()).through(points);
    let title = match file {
        "bytes.svg" => "An async import that is ready at once, by bytes of its argument",
        "parked.svg" => "Suspend and resume, by calls parked in the same instance",
        _ => "Suspend and resume, by frames between export and import",
    };
    Some((file, lines::growth(title, &growth.what, &[ours, fibers])))
}
