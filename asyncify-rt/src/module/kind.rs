//! What a file is that is no core module: told by its first bytes, with what to do.

use wasmparser::BinaryReader;

/// Bytes that something begins with, what it is, and the way out.
const BEGINNINGS: [(&[u8], &str, &str); 16] = [
    (b"\x1f\x8b", "gzip data", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it"),
    (b"\xfd7zXZ\0", "xz data", "unpack it"),
    (b"BZh", "bzip2 data", "unpack it"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (
        b"version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS to the file that is meant",
        "fetch that with `git lfs pull`",
    ),
    (
        b"\x7fELF",
        "an ELF file: a native program, or a module that wasmtime compiled before",
        "load the wasm it was made of, or give what wasmtime deserializes to `Module::from_compiled`",
    ),
    (b"MZ", "a Windows program", NATIVE),
    (b"\xcf\xfa\xed\xfe", "a macOS program", NATIVE),
    (b"\xca\xfe\xba\xbe", "a macOS program", NATIVE),
    (b"BC\xc0\xde", "LLVM bitcode", "link it to a module"),
    (b"!<arch>\n", "a library of objects", "link it to a module"),
    (b"asyncify prepared ", "a prepared module", "read it with `Prepared::from_bytes`"),
    (b"asyncify findings ", "the findings of a module", "load the module they belong to"),
    (b"{", "JSON", MADE),
    (b"#!", "a script", MADE),
];
const NATIVE: &str = "compile the guest for wasm32";
const MADE: &str = "load the .wasm file that belongs to it";
const NOTHING: &str = "write the module to it, or look at what should have";
const FETCHED: &str =
    "it may be an error page of the server that it was fetched from; look into it";

const TEXT: &str = if cfg!(feature = "wat") {
    "load it with `Module::new`"
} else {
    "turn on the crate's feature `wat`, or make a binary of it with `wasm-as`"
};

/// Magic and version of a core module.
const CORE: &[u8] = b"\0asm\x01\0\0\0";
/// Markup and text are looked for within so many bytes: as many may be blank, or a comment.
const LOOKED_AT: usize = 4096;

/// What `bytes` are that are no core module, or only a part of one, and what to do about it.
///
/// A module as text is one where `text` can be read.
pub(super) fn other_than_module(bytes: &[u8], text: bool) -> Option<String> {
    let (what, cure) = match bytes {
        [] => ("empty", NOTHING),
        _ if bytes.starts_with(CORE) => return cut(bytes),
        _ if CORE.starts_with(bytes) => ("cut off in the first bytes of a module", CUT),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => ("a component", COMPONENT),
        [0, b'a', b's', b'm', ..] => {
            ("of a version of WebAssembly other than 1", "build it with current tools")
        }
        _ => match BEGINNINGS.iter().find(|(start, ..)| bytes.starts_with(start)) {
            Some((_, what, cure)) => (*what, *cure),
            None => written(bytes, text)?,
        },
    };
    Some(format!("it is {what}; {cure}"))
}

/// Whether a module ends in the middle of a section.
fn cut(bytes: &[u8]) -> Option<String> {
    let mut reader = BinaryReader::new(bytes, 0);
    reader.read_bytes(CORE.len()).ok()?;
    while !reader.eof() {
        reader.read_u8().ok()?;
        let is_whole =
            reader.read_var_u32().is_ok_and(|size| reader.read_bytes(size as usize).is_ok());
        if !is_whole {
            let at = bytes.len();
            return Some(format!("it is cut off at byte {at}, in the middle of a section; {CUT}"));
        }
    }
    None
}

const CUT: &str = "copy or fetch it once more";
const COMPONENT: &str = "a core module is needed: take the one that the component was made of, such as a compiler writes for wasm32-unknown-unknown or wasm32-wasip1";

/// What text is.
fn written(bytes: &[u8], text: bool) -> Option<(&'static str, &'static str)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = without_comments(bytes.get(..LOOKED_AT).unwrap_or(bytes));
    let begins =
        |word: &[u8]| head.get(..word.len()).is_some_and(|is| is.eq_ignore_ascii_case(word));
    if begins(b"(component") {
        Some(("a component, as text", COMPONENT))
    } else if begins(b"(") {
        (!text).then_some(("a module as text", TEXT))
    } else if begins(b"<!doctype html") || begins(b"<html") {
        Some(("HTML", FETCHED))
    } else if begins(b"<") {
        Some(("XML", FETCHED))
    } else if [b"var ".as_slice(), b"export ", b"import ", b"const ", b"function "]
        .iter()
        .any(|word| begins(word))
    {
        Some(("JavaScript", MADE))
    } else if head.iter().all(u8::is_ascii_whitespace) {
        Some(("blank", NOTHING))
    } else {
        None
    }
}

/// Text behind blanks and the comments of the text format.
fn without_comments(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let end = match text {
            [b';', b';', ..] => text.iter().position(|byte| *byte == b'\n'),
            [b'(', b';', ..] => text.windows(2).position(|pair| pair == b";)").map(|at| at + 1),
            _ => return text,
        };
        text = end.and_then(|end| text.get(end + 1..)).unwrap_or_default();
    }
}
