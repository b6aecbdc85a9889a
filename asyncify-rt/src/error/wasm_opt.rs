//! What `wasm-opt` is told of the suspending imports, and how that stands in a shell's command.
//!
//! Binaryen takes one list of names, separated by commas, and `*` in one stands for any characters.
//! What the list cannot hold is written as that: the pass then instruments for every import that
//! fits, which this one does.

use std::borrow::Cow;

use super::is_plain;

const LIST: &str = "--pass-arg=asyncify-imports@";

/// Binaryen tries every length for each `*` of a name.
const WILDCARDS: usize = 8;
/// Bytes of a name in the list. An operating system bounds what a command may be.
const LONGEST: usize = 1000;

/// The arguments beside `--asyncify`, one by one.
pub(crate) fn arguments<'a>(
    suspending: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let names = suspending.into_iter().map(|(module, name)| pattern(&format!("{module}.{name}")));
    vec![format!("{LIST}{}", names.collect::<Vec<_>>().join(","))]
}

/// The arguments as a POSIX shell reads them.
pub(crate) fn command<'a>(suspending: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let arguments = arguments(suspending);
    arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

/// The name as Binaryen's list has it.
fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    let mut wildcards = 0;
    for (at, c) in name.char_indices() {
        // The list is trimmed, and what begins with `@` is read from a file.
        let trimmed = at == 0 || at + c.len_utf8() == name.len();
        let plain = match c {
            ',' => false,
            ' ' => !trimmed,
            '@' => at > 0,
            _ => is_plain(c),
        };
        if plain && pattern.len() < LONGEST {
            pattern.push(c);
        } else if !pattern.ends_with('*') {
            pattern.push('*');
            wildcards += 1;
        }
        if wildcards == WILDCARDS || pattern.len() > LONGEST {
            break;
        }
    }
    pattern
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,=+%".contains(c);
    if text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, WILDCARDS, arguments, command, pattern};

    #[test]
    fn a_name_that_the_list_cannot_hold_is_matched() {
        for (name, listed) in [
            ("env.fetch", "env.fetch"),
            ("$root.[method]poll it", "$root.[method]poll it"),
            ("env.ask, twice", "env.ask* twice"),
            ("env.a,\n,b", "env.a*b"),
            ("@env.at@", "*env.at@"),
            (" env.x ", "*env.x*"),
            ("env.\u{202e}\u{1b}[m", "env.*[m"),
            ("env.it's \"é\"\\", "env.it's \"é\"\\"),
        ] {
            assert_eq!(pattern(name), listed, "{name:?}");
        }
        assert_eq!(pattern(&"x,".repeat(90_000)), "x*".repeat(WILDCARDS));
        assert_eq!(pattern(&"x".repeat(90_000)), format!("{}*", "x".repeat(LONGEST)));
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        let names = [("wasi:io/poll@0.2.0", "[method]block"), ("it's", "$x")];
        assert_eq!(
            arguments(names),
            ["--pass-arg=asyncify-imports@wasi:io/poll@0.2.0.[method]block,it's.$x"]
        );
        assert_eq!(
            command(names),
            r"'--pass-arg=asyncify-imports@wasi:io/poll@0.2.0.[method]block,it'\''s.$x'"
        );
        assert_eq!(command([("env", "a")]), "--pass-arg=asyncify-imports@env.a");
    }
}
