//! Each error, with what a hostile module would have it say.

use super::{Error, ImportMismatch};

/// The variant after `error` in the order of their declaration, each of its texts `text`. The
/// compiler tells of a new one.
#[allow(clippy::too_many_lines, reason = "an arm for each variant")]
fn next(error: Option<&Error>, text: &str) -> Option<Error> {
    let s = || text.to_owned();
    let names = || vec![s(); 20];
    let mismatches = || {
        let (import, wanted, similar) = (s(), s(), Some(s()));
        vec![ImportMismatch { import, renamed: Some(s()), wanted, defined: None, similar }; 20]
    };
    let (function, source) = (s(), || std::io::Error::other(s()));
    Some(match error {
        None => Error::File { path: s(), source: source() },
        Some(Error::File { .. }) => {
            Error::InvalidModule { file: Some(s()), source: Box::new(source()) }
        }
        Some(Error::InvalidModule { .. }) => Error::StalePrepared { reason: s() },
        Some(Error::StalePrepared { .. }) => Error::NotInstrumented {
            suspending: names(),
            wasm_opt_args: s(),
            mismatches: mismatches(),
        },
        Some(Error::NotInstrumented { .. }) => {
            Error::MissingAsyncifyExport { present: s(), missing: s() }
        }
        Some(Error::MissingAsyncifyExport { .. }) => {
            Error::AsyncifyExportType { name: s(), expected: s(), found: s() }
        }
        Some(Error::AsyncifyExportType { .. }) => Error::NoMemory,
        Some(Error::NoMemory) => Error::SeveralMemories { count: 2 },
        Some(Error::SeveralMemories { .. }) => Error::SharedMemory,
        Some(Error::SharedMemory) => {
            Error::UninstrumentedCaller { import: s(), functions: names(), wasm_opt_args: s() }
        }
        Some(Error::UninstrumentedCaller { .. }) => {
            Error::LeftOut { functions: names(), import: None }
        }
        Some(Error::LeftOut { import: None, .. }) => {
            Error::LeftOut { functions: names(), import: Some(s()) }
        }
        Some(Error::LeftOut { import: Some(_), .. }) => {
            Error::DrivesAsyncify { import: s(), functions: names() }
        }
        Some(Error::DrivesAsyncify { .. }) => {
            Error::OtherInstance { import: s(), functions: names(), module: Some(s()) }
        }
        Some(Error::OtherInstance { .. }) => Error::Imports(mismatches()),
        Some(Error::Imports(_)) => Error::Exports { interface: s(), mismatches: names() },
        Some(Error::Exports { .. }) => {
            Error::NoSuchExport { kind: "function", name: s(), present: names() }
        }
        Some(Error::NoSuchExport { .. }) => Error::NoSuchImport { import: s(), present: names() },
        Some(Error::NoSuchImport { .. }) => {
            Error::SignatureMismatch { function, expected: s(), actual: s() }
        }
        Some(Error::SignatureMismatch { .. }) => Error::Instantiate { source: Box::new(source()) },
        Some(Error::Instantiate { .. }) => {
            Error::NoRoom { what: "an argument", size: 7, reason: s() }
        }
        Some(Error::NoRoom { .. }) => {
            Error::WindowTooSmall { function, needed: 1, size: 1, poisoned: true }
        }
        Some(Error::WindowTooSmall { .. }) => {
            Error::StackPointerUncertain { import: s(), reason: s(), collector: Some(s()) }
        }
        Some(Error::StackPointerUncertain { .. }) => {
            let (needed, size, source) = (2, 1, "trap".into());
            Error::ShadowStackOverflow { function, needed, size, in_region: true, source }
        }
        Some(Error::ShadowStackOverflow { .. }) => {
            Error::FrameNotInstrumented { function, import: s(), suspended: s(), causes: s() }
        }
        Some(Error::FrameNotInstrumented { .. }) => Error::HostFrame { import: s() },
        Some(Error::HostFrame { .. }) => Error::StartFunction { import: s() },
        Some(Error::StartFunction { .. }) => Error::MustNotSuspend { function, import: s() },
        Some(Error::MustNotSuspend { .. }) => {
            Error::StateOutOfStep { function, reason: s(), causes: s() }
        }
        Some(Error::StateOutOfStep { .. }) => Error::Busy,
        Some(Error::Busy) => Error::Reentered,
        Some(Error::Reentered) => Error::Poisoned { cause: s() },
        Some(Error::Poisoned { .. }) => Error::Limit { function, what: "bytes", limit: 1 },
        Some(Error::Limit { .. }) => Error::Deadline { function, ticks: 1 },
        Some(Error::Deadline { .. }) => Error::OutOfFuel { function, fuel: Some(1) },
        Some(Error::OutOfFuel { .. }) => {
            Error::BadPointer { function, parameter: s(), ptr: 1, len: 1, memory_size: 1 }
        }
        Some(Error::BadPointer { .. }) => {
            let source = String::from_utf8(vec![0xff]).err()?.utf8_error();
            Error::NotUtf8 { function, parameter: s(), source }
        }
        Some(Error::NotUtf8 { .. }) => {
            Error::BadValue { function, parameter: s(), source: Box::new(source()) }
        }
        Some(Error::BadValue { .. }) => {
            Error::NotAllocated { function, ptr: 1, source: Some(Box::new(source())) }
        }
        Some(Error::NotAllocated { .. }) => Error::GuestGone,
        Some(Error::GuestGone) => Error::CallEnded,
        Some(Error::CallEnded) => Error::NotParked { function },
        Some(Error::NotParked { .. }) => {
            Error::Trap { function, frames: names(), source: Box::new(source()) }
        }
        Some(Error::Trap { .. }) => {
            Error::StackOverflow { function, frames: names(), source: Box::new(source()) }
        }
        Some(Error::StackOverflow { .. }) => {
            let trap = Error::Trap { function: s(), frames: names(), source: Box::new(source()) };
            Error::Allocator { function, source: Box::new(trap) }
        }
        Some(Error::Allocator { .. }) => {
            Error::Host { function, source: Box::new(source()), poisons: true }
        }
        Some(Error::Host { .. }) => Error::Config(s()),
        Some(Error::Config(_)) => Error::NoSuchGlobal { name: s(), present: names() },
        Some(Error::NoSuchGlobal { .. }) => return None,
    })
}

fn each(text: &str) -> impl Iterator<Item = Error> {
    let mut last = next(None, text);
    std::iter::from_fn(move || {
        let following = last.as_ref().and_then(|error| next(Some(error), text));
        std::mem::replace(&mut last, following)
    })
}

/// Longer than what any message has to say.
const LONGEST: usize = 8 << 10;

#[test]
fn no_message_has_a_character_that_a_guest_put_there_to_mislead() {
    for text in ["\u{1b}[2J\r\0\u{202e}\u{2066}\u{200b}\u{feff}\u{9b}", "a\u{2028}b\u{85}c\u{ad}"] {
        for error in each(text) {
            for message in [error.to_string(), format!("{error:?}")] {
                let odd =
                    |c: &char| *c != '\n' && (c.is_control() || text.contains(*c) && !c.is_ascii());
                assert_eq!(message.chars().find(odd), None, "{message}");
            }
        }
    }
}

#[test]
fn no_line_of_a_message_begins_where_a_guest_wants_it_to() {
    for error in each("x\nerror: y\n\nz") {
        assert!(!error.to_string().lines().any(|line| line.starts_with("error: y")), "{error}");
        let debug = format!("{error:?}");
        assert!(!debug.lines().any(|line| line.starts_with("error: y")), "{debug}");
    }
}

#[test]
fn each_message_is_bounded() {
    for text in [
        "n".repeat(90),
        "n".repeat(1900),
        "n".repeat(90_000),
        "\n".repeat(90_000),
        "`\u{202e}é".repeat(30_000),
    ] {
        for error in each(&text) {
            for message in [error.to_string(), format!("{error:?}")] {
                assert!(message.len() <= LONGEST, "{} bytes: {message:.200}", message.len());
            }
        }
    }
}
