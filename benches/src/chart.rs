//! Charts as SVG: bars for ratios, lines for growth. They show on light and dark pages.

use std::fmt::Write as _;

use crate::table::{Row, figure};

const INK: &str = "#8b949e";
const OURS: &str = "#2f81f7";
const OVER: &str = "#d29922";
const SERIES: [&str; 4] = ["#2f81f7", "#d29922", "#3fb950", "#a371f7"];

fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A bar for each row, as long as its ratio; the line is where both sides are equal.
pub fn ratios(title: &str, rows: &[Row]) -> String {
    const LEFT: f64 = 350.0;
    const UNIT: f64 = 220.0;
    const STEP: f64 = 26.0;
    const LONGEST: f64 = 2.0;
    let height = 60.0 + STEP * f64::from(u32::try_from(rows.len()).unwrap_or_default());
    let mut svg = open(LEFT + UNIT * LONGEST + 150.0, height);
    let _ = writeln!(svg, "<text x=\"8\" y=\"20\" font-weight=\"600\">{}</text>", escape(title));
    let mut y = 36.0;
    for row in rows {
        let long = row.ratio.min(LONGEST) * UNIT;
        let color = if row.ratio <= 1.0 { OURS } else { OVER };
        let middle = y + 15.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            escape(&row.name)
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT:.0}\" y=\"{y:.0}\" width=\"{long:.1}\" height=\"20\" rx=\"2\" fill=\"{color}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{middle:.0}\">{:.2} ({} : {})</text>",
            LEFT + long + 6.0,
            row.ratio,
            figure(row.ours, row.unit),
            figure(row.theirs, row.unit)
        );
        y += STEP;
    }
    let one = LEFT + UNIT;
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.0}\" y1=\"30\" x2=\"{one:.0}\" y2=\"{y:.0}\" stroke=\"{INK}\" stroke-dasharray=\"4 3\"/>"
    );
    svg + "</svg>\n"
}

/// One line of a chart: its name, and points of what was varied and what it cost.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the line is.
    pub name: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two logarithmic axes: a straight line that rises by one for one is linear growth.
pub fn growth(title: &str, x_axis: &str, series: &[Series]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 300.0;
    const LEFT: f64 = 70.0;
    const TOP: f64 = 40.0;
    let points = || series.iter().flat_map(|line| &line.points);
    let (left, right) = decades(points().map(|point| point.0.max(1.0)));
    let (low, high) = decades(points().map(|point| point.1));
    let place = |(x, y): (f64, f64)| {
        let across = (x.max(1.0).log10() - left) / (right - left);
        let up = (y.log10() - low) / (high - low);
        (LEFT + across * WIDTH, TOP + (1.0 - up) * HEIGHT)
    };
    let mut svg = open(LEFT + WIDTH + 30.0, TOP + HEIGHT + 60.0);
    let _ = writeln!(svg, "<text x=\"8\" y=\"20\" font-weight=\"600\">{}</text>", escape(title));
    let mut decade = low;
    while decade <= high {
        let value = 10_f64.powf(decade);
        let (_, y) = place((1.0, value));
        let label = figure(value, crate::table::Unit::Ns);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{INK}\" stroke-opacity=\"0.3\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT + WIDTH,
            LEFT - 6.0,
            y + 4.0
        );
        decade += 1.0;
    }
    let mut decade = left;
    while decade <= right {
        let (x, _) = place((10_f64.powf(decade), 10_f64.powf(low)));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0}</text>",
            TOP + HEIGHT + 18.0,
            10_f64.powf(decade)
        );
        decade += 1.0;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 40.0,
        escape(x_axis)
    );
    for (index, line) in series.iter().enumerate() {
        let color = SERIES[index % SERIES.len()];
        let path: Vec<String> = line
            .points
            .iter()
            .map(|point| {
                let (x, y) = place(*point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        let y = TOP + 14.0 + 18.0 * f64::from(u32::try_from(index).unwrap_or_default());
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{color}\">{}</text>",
            LEFT + 12.0,
            escape(&line.name)
        );
    }
    svg + "</svg>\n"
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
