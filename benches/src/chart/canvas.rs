//! An SVG under construction, which refuses labels that lie over one another.

use std::fmt::Write as _;

pub(super) const INK: &str = "#8b949e";
pub(super) const OURS: &str = "#2f81f7";
pub(super) const THEIRS: &str = "#d29922";

const FONT: f64 = 13.0;
/// What a letter takes at most, on the average of a line, in the fonts that pages show.
const LETTER: f64 = 0.56 * FONT;

/// Where a label stands by its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn key(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

struct Label {
    text: String,
    left: f64,
    right: f64,
    /// Of its base line.
    y: f64,
}

impl Label {
    fn is_over(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && (self.y - other.y).abs() < FONT
    }
}

/// How a line is drawn.
pub(super) struct Stroke {
    pub(super) color: &'static str,
    pub(super) width: f64,
    pub(super) dashed: bool,
    pub(super) opacity: f64,
}

pub(super) struct Canvas {
    width: f64,
    height: f64,
    labels: Vec<Label>,
    svg: String,
}

impl Canvas {
    /// With its title.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"{FONT:.0}\" fill=\"{INK}\">\n<title>{}</title>",
            escape(title)
        );
        let mut canvas = Self { width, height, labels: Vec::new(), svg };
        canvas.put((8.0, 20.0), Anchor::Start, INK, " font-weight=\"600\"", title);
        canvas
    }

    pub(super) fn label(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.put(at, anchor, INK, "", text);
    }

    fn put(&mut self, (x, y): (f64, f64), anchor: Anchor, color: &str, more: &str, text: &str) {
        let letters = u32::try_from(text.chars().count()).unwrap_or_default();
        let width = f64::from(letters) * LETTER;
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        self.labels.push(Label { text: text.to_owned(), left, right: left + width, y });
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{}\" fill=\"{color}\"{more}>{}</text>",
            anchor.key(),
            escape(text)
        );
    }

    /// Along one line: each entry's mark, and what it means.
    pub(super) fn legend(&mut self, y: f64, entries: &[(Mark, &str)]) {
        let mut x = 8.0;
        for (mark, text) in entries {
            match *mark {
                Mark::Bar(color) => self.bar((x, y - 10.0), 22.0, 11.0, color),
                Mark::Line(ref stroke) => self.line((x, y - 4.5), (x + 22.0, y - 4.5), stroke),
            }
            self.label((x + 28.0, y), Anchor::Start, text);
            x = self.labels.last().map_or(x, |label| label.right) + 16.0;
        }
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), width: f64, height: f64, color: &str) {
        let _ = writeln!(
            self.svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.0}\" rx=\"2\" fill=\"{color}\"/>"
        );
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), color: &str) {
        let _ =
            writeln!(self.svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &Stroke) {
        self.path(&[from, to], stroke);
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], stroke: &Stroke) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let Stroke { color, width, dashed, opacity } = stroke;
        let dashes = if *dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            self.svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"{dashes}/>",
            points.join(" ")
        );
    }

    /// The chart's text.
    pub(super) fn finish(self) -> String {
        for (index, label) in self.labels.iter().enumerate() {
            let Label { text, left, right, y } = label;
            let inside = *left >= 0.0 && *right <= self.width && *y <= self.height;
            assert!(inside, "`{text}` is not within the chart: {left:.0} to {right:.0}");
            if let Some(other) = self.labels[..index].iter().find(|other| label.is_over(other)) {
                panic!("`{text}` lies over `{}`", other.text);
            }
        }
        self.svg + "</svg>\n"
    }
}

/// What stands in a legend.
pub(super) enum Mark {
    Bar(&'static str),
    Line(Stroke),
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
