//! The parts that messages are made of.

use std::fmt;

use super::name::{Name, Row};

/// How many of a list are shown.
const SHOWN: usize = 10;

/// A list of names, or of as many as anybody reads.
pub(crate) struct Names<'a>(pub(crate) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nothing"),
            [one] => Name(one).fmt(f),
            [first @ .., last] if first.len() < SHOWN => {
                separated(first, f)?;
                write!(f, " and {}", Name(last))
            }
            names => {
                let (shown, more) = names.split_at(SHOWN);
                separated(shown, f)?;
                write!(f, " and {} more", more.len())
            }
        }
    }
}

fn separated(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    names.iter().enumerate().try_for_each(|(i, name)| {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{}", Name(name))
    })
}

/// The functions on a guest's stack, as a message goes on with them.
pub(super) struct Frames<'a>(pub(super) &'a [String]);

impl fmt::Display for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Who calls those is mostly known.
        const INNERMOST: usize = 4;
        let Some((first, callers)) = self.0.split_first() else {
            return Ok(());
        };
        let is_named = |frame: &String| !frame.starts_with("function[");
        if callers.is_empty() && !is_named(first) {
            // It is the export, which has been named.
            return Ok(());
        }
        write!(f, ", in {}", Name(first))?;
        let callers = &callers[..callers.len().min(INNERMOST - 1)];
        callers.iter().try_for_each(|caller| write!(f, " < {}", Name(caller)))?;
        if !self.0.iter().any(is_named) {
            f.write_str(" (to have functions named, link with `-g` or `--profiling-funcs`, and give `-g` to `wasm-opt`)")?;
        }
        Ok(())
    }
}

pub(super) fn subject(names: &[String], verb: &str) -> String {
    let ending = if names.len() == 1 { "s" } else { "" };
    format!("{} {verb}{ending}", Names(names))
}

/// What stands for them, as an object.
pub(super) fn pronoun(names: &[String]) -> &'static str {
    if names.len() == 1 { "it" } else { "them" }
}

/// A line for each row, or for as many as anybody reads.
pub(super) fn lines(rows: &[String]) -> String {
    let (shown, more) = rows.split_at(rows.len().min(SHOWN));
    let text = shown.iter().fold(String::new(), |text, row| format!("{text}\n    {}", Row(row)));
    if more.is_empty() { text } else { format!("{text}\n    and {} more", more.len()) }
}

/// A question in brackets, where one of `present` is nearly `name`.
pub(super) fn meant(name: &str, present: &[String]) -> String {
    let nearest = nearest(name, present.iter().map(String::as_str));
    nearest.map(|nearest| format!(" (did you mean {}?)", Name(nearest))).unwrap_or_default()
}

/// The one of `present` that `name` is a misspelling of, or that has its name in another module.
pub(crate) fn nearest<'a>(name: &str, present: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = present.filter_map(|other| Some((slips(name, other)?, other)));
    near.min().map(|(_, other)| other)
}

/// No slip is further off.
const FEW: usize = 2;

/// Longer names are not looked at letter by letter.
const COMPARED: usize = 100;

/// How far `other` is from `wanted`, if that is no further than a slip leads.
fn slips(wanted: &str, other: &str) -> Option<usize> {
    // What differs by its number is another one of a row, not a slip.
    let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let few = |wanted: &str, other: &str| {
        let slips = distance(wanted, other);
        let slipped = slips <= FEW && slips * 2 < wanted.len() && letters(wanted) != letters(other);
        slipped.then_some(slips)
    };
    match (wanted.split_once('.'), other.split_once('.')) {
        (Some((module, name)), Some((other_module, other_name))) if name == other_name => {
            Some(distance(module, other_module))
        }
        (Some((module, name)), Some((other_module, other_name))) if module == other_module => {
            few(name, other_name)
        }
        _ => few(wanted, other),
    }
}

/// How many letters must be added, taken away or changed: at least so many where one name is much
/// longer. A guest's may be as long as it likes.
fn distance(from: &str, to: &str) -> usize {
    let (from_length, to_length) = (from.chars().count(), to.chars().count());
    let longer = from_length.abs_diff(to_length);
    if longer > FEW || from == to {
        return longer;
    }
    // To compare them takes as long as one is times the other.
    if from_length > COMPARED {
        return from_length;
    }
    let first = (0..=to.chars().count()).collect();
    let last: Vec<usize> = from.chars().enumerate().fold(first, |above, (i, a)| {
        let mut left = i + 1;
        let cells = above.array_windows().zip(to.chars()).map(|(&[diagonal, up], b)| {
            left = (diagonal + usize::from(a != b)).min(up + 1).min(left + 1);
            left
        });
        std::iter::once(i + 1).chain(cells).collect()
    });
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let present = ["env.fetch", "env.log", "wasi.poll", "a.b"];
        for (name, meant) in [
            ("env.fetsh", Some("env.fetch")),
            ("env.fecth", Some("env.fetch")),
            ("evn.fetch", Some("env.fetch")),
            ("host.poll", Some("wasi.poll")),
            ("env.lg", None),
            ("env.sleep", None),
            ("a.c", None),
        ] {
            assert_eq!(nearest(name, present.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest("rum", ["ran", "run", "résumé"].into_iter()), Some("run"));
        assert_eq!(nearest("resume", ["résumé"].into_iter()), Some("résumé"));
        assert_eq!(nearest("table[2]", ["table[0]"].into_iter()), None);
        assert_eq!(nearest("run", [].into_iter()), None);
        let long = ["x".repeat(90_000), "y".repeat(90_000)];
        assert_eq!(nearest(&long[0], [&*long[1]].into_iter()), None, "and it does not take long");
    }
}
