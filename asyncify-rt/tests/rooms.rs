//! The rooms of the runtime, from the ground up: each uses only what stands below it.

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 15] = [
    "error", "limits", "parts", "module", "store", "suspend", "cycle", "cx", "marshal", "imports",
    "trace", "guest", "testing", "private", "lib",
];

fn sources(within: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(within).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn floor(room: &str) -> usize {
    ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("a new room: {room}"))
}

/// The lines of code that name a room, and which. What the crate itself offers is no room.
fn named(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        let paths = line.split("crate::").skip(1);
        let rooms = paths.map(|path| path.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        rooms.filter(|room| room.starts_with(char::is_lowercase)).map(move |room| (line, room))
    })
}

#[test]
fn each_room_uses_only_what_stands_below_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert!(files.len() > 100);
    for file in files {
        let within = file.strip_prefix(&folder).unwrap();
        let room = within.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = room.trim_end_matches(".rs");
        let code = fs::read_to_string(&file).unwrap();
        for (line, other) in named(&code) {
            assert!(
                other == room || floor(other) < floor(room),
                "{}: {}",
                within.display(),
                line.trim()
            );
        }
    }
}

/// The cycle knows no protocol.
#[test]
fn one_room_alone_knows_how_a_guest_is_suspended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in ["cycle", "cx", "marshal", "imports"] {
        let mut files = vec![folder.join(room).with_extension("rs")];
        sources(&folder.join(room), &mut files);
        for file in files {
            let code = fs::read_to_string(&file).unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                let knows = ["window::", ".window.", "Phase", "asyncify.", ".suspension.asyncify"];
                let knows = knows.iter().find(|word| line.contains(*word));
                assert_eq!(knows, None, "{}: {}", file.display(), line.trim());
            }
        }
    }
}
