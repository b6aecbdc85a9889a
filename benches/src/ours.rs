//! This library's side: an instrumented guest, in any number of calls at once.
//!
//! The two impls below are what the attributes make of the host's methods and of the guest's
//! exports.

use std::sync::Arc;

use asyncify::__private::{
    Direct, ExportFn, ExportInfo, ExportLookup, ImportInfo, ParamInfo, Ref, Val,
};
use asyncify::{AsyncImports, Call, Exports, Guest, Imports, Module, StackPolicy};
use wasmtime::Engine;

use crate::drive;
use crate::host::Host;

const PLAIN: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "plain",
    false,
    &[ParamInfo::val::<u32>("x", "u32")],
    "u32",
    "",
);
const TEXT: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "text",
    false,
    &[ParamInfo::by_ref::<str>("text", "&str"), ParamInfo::val::<u32>("x", "u32")],
    "u32",
    "",
);
const READY: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "ready",
    true,
    &[ParamInfo::val::<u32>("x", "u32")],
    "u32",
    "",
);
const BYTES: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "bytes",
    true,
    &[ParamInfo::by_ref::<[u8]>("bytes", "&[u8]")],
    "u32",
    "",
);
const PAUSE: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "pause",
    true,
    &[ParamInfo::val::<u32>("x", "u32")],
    "u32",
    "",
);

impl Imports for Host {
    const IMPORTS: &'static [ImportInfo] = &[PLAIN, TEXT, READY, BYTES, PAUSE];

    fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>) {
        imports.plain::<(Val<u32>, ()), Direct, u32, _, _>(&PLAIN, &host, |host, (x, ())| {
            Host::plain(host, x)
        });
        imports.plain::<(Ref<str>, (Val<u32>, ())), Direct, u32, _, _>(
            &TEXT,
            &host,
            |host, (text, (x, ()))| Host::text(host, text, x),
        );
        imports.suspending::<(Val<u32>, ()), Direct, u32, _, _, _>(
            &READY,
            &host,
            |host, (x, ())| async move {
                let answer = Host::ready(&host, x).await;
                (host, answer, ((), ()))
            },
        );
        imports.suspending::<(Ref<[u8]>, ()), Direct, u32, _, _, _>(
            &BYTES,
            &host,
            |host, (bytes, ())| async move {
                let answer = Host::bytes(&host, AsRef::as_ref(&bytes)).await;
                (host, answer, ((), ()))
            },
        );
        imports.suspending::<(Val<u32>, ()), Direct, u32, _, _, _>(
            &PAUSE,
            &host,
            |host, (x, ())| async move {
                let answer = Host::pause(&host, x).await;
                (host, answer, ((), ()))
            },
        );
    }
}

type One = ExportFn<(Val<u32>, ()), Direct, u32>;
type Two = ExportFn<(Val<u32>, (Val<u32>, ())), Direct, u32>;

/// The guest's exports.
#[derive(Clone, Debug)]
pub struct BenchExports {
    echo: One,
    plain: One,
    text: One,
    ready: One,
    bytes: Two,
    spin: Two,
}

const A: ParamInfo = ParamInfo::arg_val::<u32>("a", "u32");
const N: ParamInfo = ParamInfo::arg_val::<u32>("n", "u32");

const fn one(name: &'static str) -> ExportInfo {
    ExportInfo::new::<Direct, u32>(name, true, const { &[N] }, "u32", "")
}

const fn two(name: &'static str) -> ExportInfo {
    ExportInfo::new::<Direct, u32>(name, true, const { &[A, N] }, "u32", "")
}

const ECHO: ExportInfo = one("echo");
const CALL_PLAIN: ExportInfo = one("plain");
const CALL_TEXT: ExportInfo = one("text");
const CALL_READY: ExportInfo = one("ready");
const CALL_BYTES: ExportInfo = two("bytes");
const SPIN: ExportInfo = two("spin");

impl Exports for BenchExports {
    const NAME: &'static str = "Bench";
    const EXPORTS: &'static [ExportInfo] =
        &[ECHO, CALL_PLAIN, CALL_TEXT, CALL_READY, CALL_BYTES, SPIN];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        let echo = lookup.function(&ECHO);
        let plain = lookup.function(&CALL_PLAIN);
        let text = lookup.function(&CALL_TEXT);
        let ready = lookup.function(&CALL_READY);
        let bytes = lookup.function(&CALL_BYTES);
        let spin = lookup.function(&SPIN);
        Some(Self {
            echo: echo?,
            plain: plain?,
            text: text?,
            ready: ready?,
            bytes: bytes?,
            spin: spin?,
        })
    }
}

impl BenchExports {
    /// Returns `x`.
    pub fn echo(&self, x: u32) -> Call<u32> {
        self.echo.call((x, ()))
    }
    /// Calls `plain` n times.
    pub fn plain(&self, n: u32) -> Call<u32> {
        self.plain.call((n, ()))
    }
    /// Calls `text` n times.
    pub fn text(&self, n: u32) -> Call<u32> {
        self.text.call((n, ()))
    }
    /// Calls `ready` n times.
    pub fn ready(&self, n: u32) -> Call<u32> {
        self.ready.call((n, ()))
    }
    /// Calls `bytes` n times with so many.
    pub fn bytes(&self, n: u32, len: u32) -> Call<u32> {
        self.bytes.call((n, (len, ())))
    }
    /// Waits n times below so many frames.
    pub fn spin(&self, frames: u32, n: u32) -> Call<u32> {
        self.spin.call((frames, (n, ())))
    }
}

/// The instrumented guest, compiled.
pub fn module(engine: &Engine) -> Module {
    Module::from_file(engine, crate::guest("bench")).expect("the guest loads")
}

/// An instance of it.
pub fn instantiate(module: &Module, host: Host) -> (Guest, BenchExports) {
    let builder = Guest::builder(module).imports(host).stack_policy(StackPolicy::Copied);
    // For the deepest stacks that are measured.
    let builder = builder.window_size(1 << 20);
    let guest = drive::spin(builder.instantiate()).expect("the guest starts");
    let exports = guest.exports().expect("the guest has its exports");
    (guest, exports)
}
