//! How text that a guest or a file chose stands in a message: nothing in it moves the cursor,
//! turns the direction of writing, begins a line or ends the quotes, and it is not long.

use std::fmt::{self, Write as _};

/// A name in backticks, escaped and shortened. The names of a module may be anything.
pub(crate) struct Name<'a>(pub(crate) &'a str);

/// Text that names or other errors are part of: escaped and shortened, as it stands in a line.
pub(crate) struct Text<T>(pub(crate) T);

/// As [`Text`], for one of several.
pub(super) struct Row<T>(pub(super) T);

/// As [`Text`], where more lines than one are meant: those after the first are indented.
pub(super) struct Lines<T>(pub(super) T);

/// A command for a shell. It is told whole or not at all: cut, it would be another one.
pub(super) struct Command<'a>(pub(super) &'a str);

/// Bytes of a name that are shown.
const NAME: usize = 100;
/// Bytes of a text that are shown.
const TEXT: usize = 600;
/// Bytes of one of several texts that are shown.
const ROW: usize = 350;
/// Bytes of a command that are shown.
const COMMAND: usize = 2000;
/// Bytes of a text of more lines that are shown.
const LINES: usize = 4000;

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        let mut safe = Safe { out: f, room: NAME, quoted: true, lines: false };
        let whole = safe.write_str(self.0).is_ok();
        f.write_char('`')?;
        if whole { Ok(()) } else { write!(f, " ({} bytes)", self.0.len()) }
    }
}

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shorten(f, &self.0, TEXT, false)
    }
}

impl<T: fmt::Display> fmt::Display for Row<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shorten(f, &self.0, ROW, false)
    }
}

impl<T: fmt::Display> fmt::Display for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shorten(f, &self.0, LINES, true)
    }
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= COMMAND && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            f.write_str("<what `AsyncImports::wasm_opt_args` returns>")
        }
    }
}

fn shorten(
    f: &mut fmt::Formatter<'_>,
    text: &dyn fmt::Display,
    room: usize,
    lines: bool,
) -> fmt::Result {
    let mut safe = Safe { out: f, room, quoted: false, lines };
    match write!(safe, "{text}") {
        // It has said that there is more.
        Err(_) if safe.room == 0 => Ok(()),
        written => written,
    }
}

/// Escapes what passes, and ends with an ellipsis and an error when there is no more room.
struct Safe<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    /// Bytes that may follow.
    room: usize,
    /// Whether a backtick would end it.
    quoted: bool,
    /// Whether it may have more lines than one.
    lines: bool,
}

impl fmt::Write for Safe<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '`' if self.quoted => self.put(format_args!("\\`")),
            '\n' if self.lines => self.put(format_args!("\n    ")),
            c if is_plain(c) => self.put(format_args!("{c}")),
            c => self.put(format_args!("{}", c.escape_debug())),
        })
    }
}

/// Whether it can be printed, and changes nothing about its neighbours.
pub(crate) fn is_plain(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

impl Safe<'_, '_> {
    fn put(&mut self, shown: fmt::Arguments<'_>) -> fmt::Result {
        let shown = shown.to_string();
        match self.room.checked_sub(shown.len()) {
            Some(room) => {
                self.room = room;
                self.out.write_str(&shown)
            }
            None => {
                self.room = 0;
                self.out.write_char('…')?;
                Err(fmt::Error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, NAME, Name, Text};

    #[test]
    fn a_name_stays_within_its_quotes() {
        for (name, shown) in [
            ("env.fetch", "`env.fetch`"),
            ("$root.ask-twice", "`$root.ask-twice`"),
            ("it's \"é\" 日本\\", "`it's \"é\" 日本\\`"),
            ("a`b", "`a\\`b`"),
            ("a\nb\r\t\0", "`a\\nb\\r\\t\\0`"),
            ("\u{1b}[31mred", "`\\u{1b}[31mred`"),
            (
                "\u{202e}\u{200b}\u{feff}\u{2028}\u{9b}",
                "`\\u{202e}\\u{200b}\\u{feff}\\u{2028}\\u{9b}`",
            ),
            ("", "``"),
        ] {
            assert_eq!(Name(name).to_string(), shown, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_shortened_with_its_length() {
        let fits = "x".repeat(NAME);
        assert_eq!(Name(&fits).to_string(), format!("`{fits}`"));
        let long = "x".repeat(90_000);
        assert_eq!(Name(&long).to_string(), format!("`{fits}…` (90000 bytes)"));
        assert_eq!(Name(&"\u{202e}".repeat(50)).to_string().matches("202e").count(), 12);
    }

    #[test]
    fn a_text_has_the_lines_that_are_meant() {
        let text = "one\ntwo `three`\r";
        assert_eq!(Text(text).to_string(), "one\\ntwo `three`\\r");
        assert_eq!(Lines(text).to_string(), "one\n    two `three`\\r");
        let cut = Text("y".repeat(90_000)).to_string();
        assert!(cut.ends_with("y…") && cut.len() < 610, "{cut}");
    }
}
