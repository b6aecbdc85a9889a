//! Annotated items, and what should be some, through the attributes.

use arbitrary::Unstructured;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::File;

use crate::memory::bounded;

use crate::phases;

/// What items are written with: the grammar's own pieces, whole types and functions, and mistakes.
const WORDS: &[&str] = &[
    // Keys and values.
    "module = \"env\"",
    "module = \"\"",
    "name = \"fetch\"",
    "name = \"a b \\0 ü\"",
    "result = \"out\"",
    "result = \"packed\"",
    "result = \"borrowed\"",
    "crate = path::to::asyncify",
    "crate = \"quoted\"",
    "skip",
    "trampoline",
    ",",
    "=",
    // Attributes.
    "#[asyncify(skip)]",
    "#[asyncify(trampoline)]",
    "#[asyncify(result = \"out\")]",
    "#[asyncify(name = \"r#type\", module = \"m\")]",
    "#[asyncify]",
    "#[cfg_attr(unix, asyncify(skip))]",
    "#[cfg(unix)]",
    "#[allow(unused)]",
    "#[must_use]",
    "/// A text.\n",
    "#![inner]",
    // Items and their parts.
    "impl Host",
    "impl<T> Host<T>",
    "impl<'a, const N: usize> Host<'a, N> where Self: Sized",
    "unsafe impl Trait for Host",
    "impl !Send for Host",
    "trait App",
    "pub(crate) unsafe trait App<T>: Send where T: Copy",
    "auto trait App",
    "struct Host;",
    "enum E { A, B }",
    "mod m",
    "union U",
    "macro_rules! m",
    "extern \"C\"",
    "fn",
    "async fn",
    "pub async unsafe extern \"C\" fn",
    "const fn",
    "default fn",
    "safe fn",
    "gen fn",
    "const C: u32 = 1;",
    "type A;",
    "type A = u32;",
    "m! {}",
    "pub",
    "dyn",
    "name",
    "r#type",
    "r#async",
    "self",
    "Self",
    "_",
    // Receivers and parameters.
    "&self",
    "&mut self",
    "self: &Self",
    "self: Arc<Self>",
    "mut self",
    "&'a self",
    "cx: &mut GuestCx<'_, T>",
    "<T: Send + 'static>",
    "<'a>",
    "text: &str",
    "bytes: &[u8]",
    "bytes: &mut [u8]",
    "out: &mut OutBuf",
    "n: u32",
    "n: (u32, f64)",
    "(a, b): (u32, u32)",
    "mut n: u32",
    "_: u64",
    "#[cfg(unix)] n: u32",
    "...",
    "x: impl Fn()",
    "x: &'static str",
    "x: [u8; { 1 + 1 }]",
    "x: fn(u32) -> u32",
    "x: <A as B>::C",
    "x: !",
    "x: m!()",
    "x: for<'a> fn(&'a u8)",
    "x: *const u8",
    "x: Option<&mut u8>",
    // Results.
    "->",
    "-> u32",
    "-> ()",
    "-> !",
    "-> String",
    "-> Result<u32, Errno>",
    "-> Result<String, Trap>",
    "-> impl Future<Output = u32>",
    "-> Pin<Box<dyn Future<Output = ()> + Send>>",
    "-> &str",
    "-> Self",
    "-> (u32, u64)",
    "where T: Copy",
    // Bodies and noise.
    "{}",
    ";",
    "{ todo!() }",
    "..",
    "::",
    "<",
    ">",
    "'a",
    "1_u8",
    "\"text\"",
    "b\"bytes\"",
    "c\"c\"",
    "1e400f64",
    "'c'",
    "$",
    "#",
    "!",
    "&",
    "|",
    "?",
];

#[derive(Clone, Copy)]
enum Piece {
    Word(u8),
    /// So many pieces, as one group.
    Group {
        delimiter: u8,
        count: u8,
    },
}

choices!(Piece: Word(a), Group { delimiter, count });

enum Shape {
    /// Tokens as they come.
    Tokens,
    /// `impl Host { … }` around them.
    Block,
    /// `trait App { … }` around them.
    List,
    /// A function of a block, with each part of it made of pieces.
    BlockOfFunctions,
    ListOfFunctions,
}

choices!(Shape: Tokens, Block, List, BlockOfFunctions, ListOfFunctions);

/// Puts what `data` stands for through both attributes.
///
/// # Panics
///
/// If one of them does, or makes what is no Rust.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(made) = make(&mut input) else { return };
    let (args, item) = made;
    // Memory grows with the input; how much of it a parser needs is not ours to say.
    let (imports, exports) =
        bounded(256 << 20, || (phases::imports(args.clone(), &item), phases::exports(args, &item)));
    // What was no item before need not be one now, but all else must be.
    if syn::parse2::<File>(item).is_ok() {
        for (attribute, output) in [("imports", imports), ("exports", exports)] {
            if let Err(error) = syn::parse2::<File>(output.clone()) {
                panic!("`{attribute}` made what is no Rust: {error}\n{output}");
            }
        }
    }
}

/// An attribute's arguments and its item.
fn make(input: &mut Unstructured<'_>) -> arbitrary::Result<(TokenStream, TokenStream)> {
    let shape = input.arbitrary()?;
    let count = input.int_in_range(0..=4)?;
    let args = pieces(input, count, 2)?;
    let (head, function): (&str, fn(&mut Unstructured<'_>, bool) -> _) = match shape {
        Shape::Tokens => {
            let count = input.int_in_range(0..=20)?;
            return Ok((args, pieces(input, count, 4)?));
        }
        Shape::Block => ("impl Host", |input, _| pieces(input, 4, 3)),
        Shape::List => ("trait App", |input, _| pieces(input, 4, 3)),
        Shape::BlockOfFunctions => ("impl Host", self::function),
        Shape::ListOfFunctions => ("trait App", self::function),
    };
    let in_block = head.starts_with("impl");
    let mut body = TokenStream::new();
    for _ in 0..input.int_in_range(0..=6)? {
        body.extend(function(input, in_block)?);
    }
    let mut item = tokens(head);
    item.extend([TokenTree::Group(Group::new(Delimiter::Brace, body))]);
    Ok((args, item))
}

/// `#[…] async fn name<…>(&self, …) -> … { … }`, nearly always.
fn function(input: &mut Unstructured<'_>, in_block: bool) -> arbitrary::Result<TokenStream> {
    let mut function = TokenStream::new();
    if input.ratio(1, 3)? {
        function.extend(word_of(input, |word| word.starts_with("#[") || word.starts_with("///"))?);
    }
    let keyword = word_of(input, |word| word.ends_with("fn"))?;
    function.extend(if input.ratio(3, 4)? { tokens("async fn") } else { keyword });
    let name = input.choose(&["fetch", "log", "r#type", "fetch_all", "__rt", "never", "_x"])?;
    function.extend(tokens(name));
    if input.ratio(1, 8)? {
        function.extend(word_of(input, |word| word.starts_with('<'))?);
    }
    let mut params = if input.ratio(7, 8)? {
        tokens("&self,")
    } else {
        let mut receiver = word_of(input, |word| word.contains("self"))?;
        receiver.extend(tokens(","));
        receiver
    };
    for _ in 0..input.int_in_range(0..=5)? {
        params.extend(word_of(input, |word| word.contains(": "))?);
        if input.ratio(15, 16)? {
            params.extend(tokens(","));
        }
    }
    function.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, params))]);
    if input.arbitrary()? {
        function.extend(word_of(input, |word| word.starts_with("->"))?);
    }
    let has_body = in_block != input.ratio(1, 16)?;
    function.extend(tokens(if has_body { "{ todo!() }" } else { ";" }));
    Ok(function)
}

fn word_of(
    input: &mut Unstructured<'_>,
    wanted: impl Fn(&str) -> bool,
) -> arbitrary::Result<TokenStream> {
    let words: Vec<_> = WORDS.iter().filter(|word| wanted(word)).collect();
    Ok(tokens(input.choose(&words)?))
}

fn pieces(input: &mut Unstructured<'_>, count: u8, depth: u8) -> arbitrary::Result<TokenStream> {
    let mut stream = TokenStream::new();
    for _ in 0..count {
        match input.arbitrary()? {
            Piece::Group { delimiter, count } if depth > 0 => {
                let delimiters =
                    [Delimiter::Parenthesis, Delimiter::Brace, Delimiter::Bracket, Delimiter::None];
                let inner = pieces(input, count % 8, depth - 1)?;
                let delimiter = delimiters[usize::from(delimiter % 4)];
                stream.extend([TokenTree::Group(Group::new(delimiter, inner))]);
            }
            Piece::Word(index) | Piece::Group { delimiter: index, .. } => {
                stream.extend(tokens(WORDS[usize::from(index) % WORDS.len()]));
            }
        }
    }
    Ok(stream)
}

fn tokens(word: &str) -> TokenStream {
    word.parse().unwrap_or_else(|_| panic!("{word:?} is no token"))
}
