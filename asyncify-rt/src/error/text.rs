//! The parts that messages are made of.

pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", first.join(", "))
        }
    }
}

pub(super) fn subject(names: &[String], verb: &str) -> String {
    let ending = if names.len() == 1 { "s" } else { "" };
    format!("{} {verb}{ending}", list(names))
}

pub(super) fn lines(rows: &[String]) -> String {
    rows.iter().fold(String::new(), |text, row| text + "\n    " + row)
}
