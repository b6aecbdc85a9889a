//! What is counted.

use std::collections::BTreeMap;

/// The counts of one folder.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) modules: u64,
    /// Modules that are not valid and were refused.
    pub(crate) invalid: u64,
    pub(crate) calls: u64,
    pub(crate) driven: u64,
    pub(crate) suspensions: u64,
    pub(crate) differences: u64,
    /// Actions whose control did not end in the way the script expects.
    pub(crate) odd: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) skipped: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn refuse(&mut self, reason: &str) {
        *self.refused.entry(without_numbers(reason)).or_default() += 1;
    }

    pub(crate) fn skip(&mut self, reason: &str) {
        *self.skipped.entry(without_numbers(reason)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.modules += other.modules;
        self.invalid += other.invalid;
        self.calls += other.calls;
        self.driven += other.driven;
        self.suspensions += other.suspensions;
        self.differences += other.differences;
        self.odd += other.odd;
        for (mine, others) in
            [(&mut self.refused, other.refused), (&mut self.skipped, other.skipped)]
        {
            for (reason, count) in others {
                *mine.entry(reason).or_default() += count;
            }
        }
    }
}

/// A reason's first line with `#` for each number, so that equal ones are counted together.
fn without_numbers(reason: &str) -> String {
    let mut text = String::new();
    for word in reason.lines().next().unwrap_or_default().split_inclusive([' ', ',', ':', ')']) {
        let end = word.trim_end_matches([' ', ',', ':', ')']);
        let digits = end.trim_start_matches(['(', '-', '+']).trim_start_matches("0x");
        if !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_hexdigit())
            && end.contains(|c: char| c.is_ascii_digit())
        {
            text.push('#');
            text.push_str(&word[end.len()..]);
        } else {
            text.push_str(word);
        }
    }
    text
}

/// Prints the counts by folder, and the reasons.
pub(crate) fn print(tallies: BTreeMap<String, Tally>) -> u64 {
    let titles = [
        "folder",
        "files",
        "modules",
        "invalid",
        "calls",
        "driven",
        "suspensions",
        "odd",
        "refused",
        "skipped",
        "differences",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    let mut all = Tally::default();
    for (folder, tally) in tallies {
        rows.push(row(&folder, &tally));
        all.add(tally);
    }
    rows.push(row("all", &all));
    let widths: Vec<_> = (0..titles.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line.extend(["  ", &format!("{cell:>width$}")]);
        }
        println!("{line}");
    }
    for (title, reasons) in [("refused", all.refused), ("skipped", all.skipped)] {
        for (reason, count) in reasons {
            println!("{title} {count:>6}  {reason}");
        }
    }
    all.differences
}

fn row(folder: &str, tally: &Tally) -> [String; 11] {
    let numbers = [
        tally.files,
        tally.modules,
        tally.invalid,
        tally.calls,
        tally.driven,
        tally.suspensions,
        tally.odd,
        tally.refused.values().sum(),
        tally.skipped.values().sum(),
        tally.differences,
    ];
    let mut cells = numbers.iter().map(u64::to_string);
    std::array::from_fn(|column| match column {
        0 => folder.to_owned(),
        _ => cells.next().unwrap_or_default(),
    })
}
