//! Modules and kept bytes, from anywhere, into the loader.

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use asyncify::wasmtime::{Config, Engine, OptLevel};
use asyncify::{Error, Findings, Module, Prepared};

use crate::memory::bounded;

/// Modules to begin with: what the examples' sources give.
const MODULES: [&[u8]; 11] = [
    include_bytes!("../../examples/guests/bench.wasm"),
    include_bytes!("../../examples/guests/chat.wasm"),
    include_bytes!("../../examples/guests/marshal.wasm"),
    include_bytes!("../../examples/guests/memory64.wasm"),
    include_bytes!("../../examples/guests/plain.wasm"),
    include_bytes!("../../examples/guests/stack-libc.wasm"),
    include_bytes!("../../examples/guests/stack.wasm"),
    include_bytes!("../../examples/guests/trampoline.wasm"),
    include_bytes!("../../examples/guests/values.wasm"),
    include_bytes!("../../examples/guests/yielding-plain.wasm"),
    include_bytes!("../../examples/guests/yielding.wasm"),
];

/// What is not longer than this is compiled as well.
const COMPILED: usize = 3 << 10;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::None);
    Engine::new(&config).expect("a configuration that is possible")
});

enum Source<'a> {
    /// As it is.
    Bytes(&'a [u8]),
    /// One of [`MODULES`], after some changes.
    Module(u8),
    /// What its preparation leaves, after some changes.
    Prepared(u8),
    /// Its findings alone, after some changes.
    Findings(u8),
}

choices!(Source<'a>: Bytes(a), Module(a), Prepared(a), Findings(a));

enum Change<'a> {
    Set {
        at: u16,
        byte: u8,
    },
    Flip {
        at: u16,
        bit: u8,
    },
    Truncate(u16),
    Insert {
        at: u16,
        bytes: &'a [u8],
    },
    Remove {
        at: u16,
        count: u8,
    },
    /// Bytes of another module, over those that are there.
    Splice {
        module: u8,
        from: u16,
        at: u16,
        count: u16,
    },
    /// Another module, or its prepared bytes, behind all.
    Append {
        module: u8,
        prepared: bool,
    },
}

choices!(Change<'a>: Set { at, byte }, Flip { at, bit }, Truncate(a), Insert { at, bytes }, Remove { at, count }, Splice { module, from, at, count }, Append { module, prepared });

fn module(index: u8) -> &'static [u8] {
    MODULES[usize::from(index) % MODULES.len()]
}

fn prepared(index: u8) -> Prepared {
    Prepared::new(module(index)).expect("a module of the examples")
}

impl Change<'_> {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let within = |at: u16| usize::from(at) % (bytes.len() + 1);
        match *self {
            Self::Set { at, byte } => {
                let at = within(at);
                bytes.get_mut(at).into_iter().for_each(|found| *found = byte);
            }
            Self::Flip { at, bit } => {
                let at = within(at);
                bytes.get_mut(at).into_iter().for_each(|found| *found ^= 1 << (bit % 8));
            }
            Self::Truncate(at) => bytes.truncate(within(at)),
            Self::Insert { at, bytes: inserted } => {
                let at = within(at);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Self::Remove { at, count } => {
                let at = within(at);
                let end = bytes.len().min(at + usize::from(count));
                bytes.drain(at..end);
            }
            Self::Splice { module: other, from, at, count } => {
                let other = module(other);
                let from = usize::from(from) % other.len();
                let other = &other[from..other.len().min(from + usize::from(count))];
                let at = within(at);
                let end = bytes.len().min(at + other.len());
                bytes.splice(at..end, other.iter().copied());
            }
            Self::Append { module: other, prepared: false } => bytes.extend(module(other)),
            Self::Append { module: other, prepared: true } => {
                bytes.extend(prepared(other).to_bytes());
            }
        }
    }
}

/// Loads what `data` stands for, in every way.
///
/// # Panics
///
/// If something is accepted that does not stay what it was, or no longer is a module to the engine.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(source) = Source::arbitrary(&mut input) else { return };
    let mut bytes = match source {
        Source::Bytes(bytes) => bytes.to_vec(),
        Source::Module(index) => module(index).to_vec(),
        Source::Prepared(index) => prepared(index).to_bytes(),
        Source::Findings(index) => prepared(index).findings().to_bytes(),
    };
    let changes: Vec<Change<'_>> = crate::list(&mut input, 12);
    changes.iter().for_each(|change| change.apply(&mut bytes));
    let bytes = bytes;

    // A few vectors' worth for each byte that was read, and what a byte or two can stand for: a
    // local of a function, of which an engine takes 50,000.
    bounded((8 << 20) + 256 * bytes.len(), || {
        load(&bytes);
        keep(&bytes);
    });
    if bytes.len() <= COMPILED {
        let loaded = Prepared::new(&bytes).ok().into_iter();
        for prepared in loaded.chain(Prepared::from_bytes(&bytes)) {
            compile(prepared);
        }
    }
}

/// As a module.
fn load(bytes: &[u8]) {
    let Ok(prepared) = Prepared::new(bytes) else { return };
    let is_binary = bytes.starts_with(b"\0asm");
    if !is_binary || asyncify::wasmtime::Module::validate(&ENGINE, bytes).is_ok() {
        let valid = asyncify::wasmtime::Module::validate(&ENGINE, prepared.wasm());
        valid.expect("what was valid is valid when it is prepared");
        let again = Prepared::new(prepared.wasm()).expect("what is prepared can be prepared");
        assert_eq!(again.wasm(), prepared.wasm(), "nothing is to be added");
    }
    let kept = prepared.to_bytes();
    assert_eq!(Prepared::from_bytes(&kept).expect("these were written just now"), prepared);
    let kept = prepared.findings().to_bytes();
    assert_eq!(&Findings::from_bytes(&kept).expect("these as well"), prepared.findings());
}

/// As something that was kept.
fn keep(bytes: &[u8]) {
    if let Ok(prepared) = Prepared::from_bytes(bytes) {
        let kept = prepared.to_bytes();
        assert_eq!(Prepared::from_bytes(&kept).expect("these were written just now"), prepared);
    }
    if let Ok(findings) = Findings::from_bytes(bytes) {
        look(&findings);
        let kept = findings.to_bytes();
        assert_eq!(Findings::from_bytes(&kept).expect("these were written just now"), findings);
    }
}

/// Whatever findings say, looking at them is safe.
fn look(findings: &Findings) {
    _ = findings.uninstrumented();
    _ = findings.uninstrumented_callers(&[("env", "wait"), ("env", "yield_now")]);
    _ = findings.global_export("0");
    _ = findings.global_export("__stack_pointer");
}

/// A module of it, or the error that says why not.
fn compile(prepared: Prepared) {
    look(prepared.findings());
    match Module::from_prepared(prepared, &ENGINE) {
        Ok(module) => look(module.findings()),
        Err(Error::InvalidModule { .. } | Error::StalePrepared { .. }) => {}
        Err(other) => panic!("not an error of `from_prepared`: {other:?}"),
    }
}
