//! Every way in which loading, linking or calling a guest can fail.

mod causes;
mod mismatch;
mod text;
mod trap;

pub use mismatch::ImportMismatch;
pub(crate) use text::nearest;
use text::{lines, list, meant, subject};
pub use trap::Trap;

pub(crate) use crate::thin::{Boxed, Thin};

/// The result of everything here that can fail.
///
/// ```
/// use asyncify::{Module, Result, wasmtime::Engine};
///
/// fn load(engine: &Engine) -> Result<Module> {
///     Module::from_file(engine, "guest.async.wasm")
/// }
/// # assert!(load(&Engine::default()).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the names and figures that tell where, and what to do about it.
///
/// Functions are named as the guest names them: an import as `module.name`, an export by its name.
///
/// `Debug` shows the message too, and what it comes from, one cause a line: an `unwrap`, and a
/// `main` that returns the error, print what a reader needs.
///
/// ```
/// use asyncify::{Module, wasmtime::Engine};
///
/// let error = Module::from_file(&Engine::default(), "no such file").unwrap_err();
/// assert!(format!("{error:?}").starts_with("cannot read `no such file`\n  caused by: "));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read `{path}`")]
    File {
        /// The path as it was given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// The bytes are no WebAssembly module that this engine takes.
    #[error("this is not a WebAssembly module that the engine accepts")]
    InvalidModule {
        /// What the parser or the engine said, and at which offset.
        source: BoxError,
    },

    /// A record of an earlier preparation cannot be used.
    #[error("the kept module cannot be used: {reason}; prepare the original module again")]
    StalePrepared {
        /// What does not fit.
        reason: String,
    },

    /// The module was not rewritten by Asyncify, but the host has imports that suspend.
    #[error(
        "the module is not instrumented, and {}; run\n    wasm-opt guest.wasm --asyncify -O2 {wasm_opt_args} -o guest.async.wasm\nif that refuses an instruction, the guest was stripped of the list of its features: add --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int",
        subject(.suspending, "suspend")
    )]
    NotInstrumented {
        /// The suspending imports that the module asks for.
        suspending: Vec<String>,
        /// The pass's arguments for this host.
        wasm_opt_args: String,
    },

    /// The module has some of Asyncify's exports, but not all that are needed.
    #[error(
        "the module exports `{present}` but nothing that works as `{missing}`; run `wasm-opt --asyncify` on it again, and keep later tools from removing exports"
    )]
    MissingAsyncifyExport {
        /// An Asyncify function that is there.
        present: String,
        /// The one that is not.
        missing: String,
    },

    /// A function that carries one of Asyncify's names is another function.
    #[error(
        "the module's export `{name}` should be {expected}, but is {found}; rename it, or instrument the module again"
    )]
    AsyncifyExportType {
        /// The export.
        name: String,
        /// What Asyncify makes.
        expected: String,
        /// What is there.
        found: String,
    },

    /// Asyncify needs a memory to unwind into.
    #[error(
        "the module has no memory, and Asyncify unwinds into one; link the guest with a memory"
    )]
    NoMemory,

    /// Only one memory is supported.
    #[error(
        "the module has {count} memories, and only one is supported; link the guest with a single memory"
    )]
    SeveralMemories {
        /// How many the module declares and imports.
        count: u32,
    },

    /// A memory shared between threads cannot be unwound into.
    #[error(
        "the module's memory is shared between threads, which is not supported; build the guest without threads"
    )]
    SharedMemory,

    /// The module calls a suspending import from a function that was not instrumented for it, maybe
    /// by way of others.
    #[error(
        "import `{import}` suspends, but {} it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with {wasm_opt_args}",
        subject(.functions, "call")
    )]
    UninstrumentedCaller {
        /// The suspending import.
        import: String,
        /// The functions that call it and do not look at Asyncify's state afterwards, by name or
        /// index.
        functions: Vec<String>,
        /// The pass's arguments for this host.
        wasm_opt_args: String,
    },

    /// The host's imports do not fit what the module asks for.
    #[error("{}", ImportMismatch::describe(.0))]
    Imports(Vec<ImportMismatch>),

    /// The module's exports do not fit what was asked of them.
    #[error("the guest's exports differ from `{interface}`:{}", lines(.mismatches))]
    Exports {
        /// The trait that describes the exports.
        interface: String,
        /// A line for each export that differs.
        mismatches: Vec<String>,
    },

    /// There is no such export.
    #[error("the guest exports no {kind} `{name}`{}; it exports {}", meant(.name, .present), list(.present))]
    NoSuchExport {
        /// The kind that was asked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// What the guest has of that kind.
        present: Vec<String>,
    },

    /// There is no such import.
    #[error("the host has no import `{import}`{}; it has {}", meant(.import, .present), list(.present))]
    NoSuchImport {
        /// The import that was asked for, as `module.name`.
        import: String,
        /// What the host has.
        present: Vec<String>,
    },

    /// A function was called with another signature than it has.
    #[error("`{function}` has the type {actual}, and was used as {expected}")]
    SignatureMismatch {
        /// The function.
        function: String,
        /// The type that the caller expected.
        expected: String,
        /// The type it has.
        actual: String,
    },

    /// Instantiating the module failed.
    #[error("the module could not be instantiated")]
    Instantiate {
        /// What the engine said.
        source: BoxError,
    },

    /// The guest has no room for what the host must place in it.
    #[error(
        "no room for {what} of {size} bytes in the guest: {reason}; name an allocator or a range with `Builder::place`"
    )]
    NoRoom {
        /// The window, a region for a shadow stack, or an argument.
        what: &'static str,
        /// Bytes that were asked for.
        size: u64,
        /// Why they could not be had.
        reason: String,
    },

    /// A call's frames did not fit into the window.
    #[error(
        "`{function}` needed at least {needed} bytes to unwind, and the window has {size}; {}",
        if *.poisoned { "what lay behind it in the guest is overwritten and the guest is poisoned; start it with a larger `Builder::window_size`" }
        else { "nothing was overwritten, and the next call gets a larger window; call again, or start with a larger `Builder::window_size`" }
    )]
    WindowTooSmall {
        /// The export that was called.
        function: String,
        /// Bytes that were written before it was noticed.
        needed: u64,
        /// Bytes that the window has.
        size: u64,
        /// Whether the guest's own bytes were overwritten.
        poisoned: bool,
    },

    /// A second call would have to park, and where the guest's shadow stack is cannot be told for certain.
    #[error(
        "`{import}` cannot suspend a second call: {reason}; name the stack pointer with `Builder::stack_pointer`, or let one call suspend at a time"
    )]
    StackPointerUncertain {
        /// The import that would have waited.
        import: String,
        /// What was found instead.
        reason: String,
    },

    /// A call grew over the end of its shadow stack.
    #[error(
        "`{function}` ran over the end of its shadow stack of {size} bytes and overwrote what lies below; give the regions more with `Builder::region_size`"
    )]
    ShadowStackOverflow {
        /// The export that was called.
        function: String,
        /// Bytes that the region has.
        size: u64,
    },

    /// A frame between the export and the import was not instrumented, and ran on while the stack was unwound.
    #[error(
        "`{function}` reached import `{import}` while its stack was unwound: a function on the way to `{suspended}` is not instrumented for it; name that import in `--pass-arg=asyncify-imports@…`, and use no `ignore-indirect` and no `removelist`"
    )]
    FrameNotInstrumented {
        /// The export that was called.
        function: String,
        /// The import that was entered, and should not have been.
        import: String,
        /// The import that had suspended.
        suspended: String,
    },

    /// A suspending import was called through another host function.
    #[error(
        "`{import}` suspends, and was called through a host function, whose frame cannot be unwound; call the guest from an async import instead, or from one marked `#[asyncify(trampoline)]`"
    )]
    HostFrame {
        /// The import that would have suspended.
        import: String,
    },

    /// The module's start function called a suspending import.
    #[error(
        "the module's start function reached `{import}`, which suspends, and a start function cannot be unwound; do that work in an export, and name it with `Builder::initialize`"
    )]
    StartFunction {
        /// The import that would have suspended.
        import: String,
    },

    /// An export that must not suspend reached an import that does.
    #[error(
        "`{function}` must not suspend, and reached `{import}`, which suspends; declare it as an `async fn`"
    )]
    MustNotSuspend {
        /// The export that was called.
        function: String,
        /// The import that would have suspended.
        import: String,
    },

    /// The guest and the host disagree about where a call stands.
    #[error(
        "`{function}`: {reason}; a function on the way is not instrumented, or the guest drives Asyncify itself"
    )]
    StateOutOfStep {
        /// The export that was called.
        function: String,
        /// What was expected, and what was found.
        reason: String,
    },

    /// The guest is running, here or on another thread.
    #[error("the guest is busy; await the call, or try again later")]
    Busy,

    /// The guest was used from inside one of its own imports, which would wait for itself.
    #[error(
        "the guest was used from inside one of its own imports while that import runs; use the `GuestCx` it is handed, or call from an `async fn` import"
    )]
    Reentered,

    /// An earlier call left the guest in a state that cannot be trusted.
    #[error(
        "the guest is poisoned: {cause}; start a new one, or open it for new calls with `Guest::clear_poison`"
    )]
    Poisoned {
        /// What the earlier call ended with.
        cause: String,
    },

    /// A limit of this guest is reached.
    #[error("`{function}` reached the limit of {limit} {what}; raise it with `Builder::limits`")]
    Limit {
        /// The export that was called.
        function: String,
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },

    /// The guest ran longer than it may.
    #[error(
        "`{function}` ran for more than {ticks} epoch ticks without suspending; raise `Builder::epoch_deadline`, or let the guest suspend more often"
    )]
    Deadline {
        /// The export that was called.
        function: String,
        /// The ticks it had.
        ticks: u64,
    },

    /// A pointer and length that a function was given lie outside the guest's memory.
    #[error(
        "`{function}`: parameter `{parameter}` is {len} bytes at {ptr:#x}, but the memory ends at {memory_size:#x}"
    )]
    BadPointer {
        /// The function.
        function: String,
        /// The parameter, or `result`. Of an import with dynamic values, the parameter's position
        /// from 0 on, or `pointer` for an address that none of them is.
        parameter: String,
        /// The first address.
        ptr: u64,
        /// The length in bytes.
        len: u64,
        /// The memory's size in bytes.
        memory_size: u64,
    },

    /// Bytes that should be text are not UTF-8.
    #[error("`{function}`: parameter `{parameter}` is not UTF-8: {source}")]
    NotUtf8 {
        /// The function.
        function: String,
        /// The parameter, or `result`.
        parameter: String,
        /// Where the text breaks off.
        source: std::str::Utf8Error,
    },

    /// A value cannot be converted.
    #[error("`{function}`: parameter `{parameter}`: {source}")]
    BadValue {
        /// The function.
        function: String,
        /// The parameter, or `result`.
        parameter: String,
        /// What does not fit.
        source: BoxError,
    },

    /// The guest was dropped while something still refers to it.
    #[error("the guest is gone; keep a `Guest` for as long as it is used")]
    GuestGone,

    /// The call was polled again after it had ended.
    #[error("the call has already ended; poll it no more")]
    CallEnded,

    /// A call was to be cancelled that does not wait in an import.
    #[error("`{function}` is not parked, so there is no import to answer; drop the call instead")]
    NotParked {
        /// The export that was called.
        function: String,
    },

    /// The guest trapped.
    #[error("`{function}` trapped")]
    Trap {
        /// The export that was called.
        function: String,
        /// The trap, with the guest's backtrace. It downcasts to `wasmtime::Trap`.
        source: BoxError,
    },

    /// The guest recursed deeper than the engine lets wasm use the thread's stack.
    #[error(
        "`{function}` overflowed the wasm stack; raise `wasmtime::Config::max_wasm_stack` (512 KiB unless it was set; above 2 MiB, `async_stack_size` as well), and with it the stack of the threads that poll the call, or let the guest recurse less"
    )]
    StackOverflow {
        /// The export that was called.
        function: String,
        /// The trap, with the guest's backtrace. It downcasts to `wasmtime::Trap`.
        source: BoxError,
    },

    /// A host function ended the call with an error of its own.
    #[error("`{function}` was ended by the host")]
    Host {
        /// The export that was called.
        function: String,
        /// The host function's error; see [`Error::downcast_ref`].
        source: BoxError,
    },

    /// A setting does not fit the engine or the guest.
    #[error("{0}")]
    Config(String),
}

/// An error of any type.
///
/// ```
/// let error: asyncify::BoxError = "the disk is full".into();
/// assert_eq!(error.to_string(), "the disk is full");
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

impl Error {
    #[cold]
    pub(crate) fn out_of_step(reason: String) -> Self {
        Self::StateOutOfStep { function: String::new(), reason }
    }

    pub(crate) fn limit(what: &'static str, limit: u64) -> Self {
        Self::Limit { function: String::new(), what, limit }
    }

    /// Whether the guest itself went wrong, not its host.
    pub(crate) fn is_guest_trap(&self) -> bool {
        matches!(self, Self::Trap { .. } | Self::StackOverflow { .. } | Self::Deadline { .. })
    }

    /// The engine refused what always succeeds on a guest that was linked.
    #[allow(clippy::needless_pass_by_value, reason = "it is the function for `map_err`")]
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::out_of_step(format!("the engine: {error}"))
    }

    /// Names the export that was called, where the error happened too deep down to know it.
    #[cold]
    #[must_use]
    pub(crate) fn in_function(mut self, called: &str) -> Self {
        if let Some(function) = self.function()
            && function.is_empty()
        {
            called.clone_into(function);
        }
        self
    }

    /// Whether it happened in another run, which has named its function already: of another guest,
    /// or of this one, which is poisoned by it then. It is the host that passes it on.
    pub(crate) fn is_passed_on(&mut self) -> bool {
        self.function().is_some_and(|function| !function.is_empty())
    }

    /// The place for the name of the export that was called.
    fn function(&mut self) -> Option<&mut String> {
        match self {
            Self::WindowTooSmall { function, .. }
            | Self::ShadowStackOverflow { function, .. }
            | Self::FrameNotInstrumented { function, .. }
            | Self::MustNotSuspend { function, .. }
            | Self::StateOutOfStep { function, .. }
            | Self::Limit { function, .. }
            | Self::Deadline { function, .. }
            | Self::Trap { function, .. }
            | Self::StackOverflow { function, .. }
            | Self::Host { function, .. } => Some(function),
            _ => None,
        }
    }
}
