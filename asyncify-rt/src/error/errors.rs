//! All of them.

use super::{BoxError, ImportMismatch};

/// What went wrong, with the names and figures that tell where, and what to do about it.
///
/// Functions are named as the guest names them: an import as `module.name`, an export by its name.
/// Names of a module are escaped and shortened where they are printed; the fields have them whole.
///
/// The message tells the reason too, and `source` is what lies behind that: a chain of causes that
/// is printed, as `{:#}` of `anyhow` does, says nothing twice. [`Error::downcast_ref`] looks at all
/// of them. `Debug` shows the message, and then a line for each further cause: an `unwrap`, and a
/// `main` that returns the error, print what a reader needs.
///
/// They stand by topic:
///
/// - **Loading a module**: [`File`](Self::File), [`InvalidModule`](Self::InvalidModule),
///   [`StalePrepared`](Self::StalePrepared),
///   [`MissingAsyncifyExport`](Self::MissingAsyncifyExport),
///   [`AsyncifyExportType`](Self::AsyncifyExportType), [`NoMemory`](Self::NoMemory),
///   [`SeveralMemories`](Self::SeveralMemories), [`SharedMemory`](Self::SharedMemory).
/// - **Linking a guest**: [`NotInstrumented`](Self::NotInstrumented),
///   [`UninstrumentedCaller`](Self::UninstrumentedCaller), [`LeftOut`](Self::LeftOut),
///   [`Imports`](Self::Imports), [`Instantiate`](Self::Instantiate), [`Config`](Self::Config).
/// - **Looking something up**: [`Exports`](Self::Exports), [`NoSuchExport`](Self::NoSuchExport),
///   [`NoSuchGlobal`](Self::NoSuchGlobal), [`NoSuchImport`](Self::NoSuchImport),
///   [`SignatureMismatch`](Self::SignatureMismatch).
/// - **A suspension that is refused**: [`HostFrame`](Self::HostFrame),
///   [`StartFunction`](Self::StartFunction), [`MustNotSuspend`](Self::MustNotSuspend),
///   [`DrivesAsyncify`](Self::DrivesAsyncify), [`OtherInstance`](Self::OtherInstance),
///   [`StackPointerUncertain`](Self::StackPointerUncertain).
/// - **A value that crosses**: [`BadPointer`](Self::BadPointer), [`NotUtf8`](Self::NotUtf8),
///   [`BadValue`](Self::BadValue), [`NotAllocated`](Self::NotAllocated).
/// - **A guest that ends badly**: [`Trap`](Self::Trap), [`StackOverflow`](Self::StackOverflow),
///   [`ShadowStackOverflow`](Self::ShadowStackOverflow), [`Allocator`](Self::Allocator),
///   [`FrameNotInstrumented`](Self::FrameNotInstrumented),
///   [`StateOutOfStep`](Self::StateOutOfStep).
/// - **Room and limits**: [`NoRoom`](Self::NoRoom), [`WindowTooSmall`](Self::WindowTooSmall),
///   [`Limit`](Self::Limit), [`Deadline`](Self::Deadline), [`OutOfFuel`](Self::OutOfFuel).
/// - **The guest and the call**: [`Busy`](Self::Busy), [`Reentered`](Self::Reentered),
///   [`Poisoned`](Self::Poisoned), [`GuestGone`](Self::GuestGone), [`CallEnded`](Self::CallEnded),
///   [`NotParked`](Self::NotParked).
/// - **The host's own**: [`Host`](Self::Host).
///
/// ```
/// use asyncify::{Module, wasmtime::Engine};
///
/// let error = Module::from_file(&Engine::default(), "no such file").unwrap_err();
/// assert!(error.to_string().starts_with("cannot read `no such file`: "));
/// ```
#[non_exhaustive]
pub enum Error {
    // Loading a module
    /// The file could not be read.
    File {
        /// The path as it was given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bytes are no WebAssembly module that this engine takes.
    InvalidModule {
        /// The file, if they were read from one.
        file: Option<String>,
        /// What they are instead, or what the parser or the engine said, and at which offset.
        source: BoxError,
    },
    /// A record of an earlier preparation cannot be used.
    StalePrepared {
        /// What does not fit.
        reason: String,
    },
    /// The module has some of Asyncify's exports, but not all that are needed.
    MissingAsyncifyExport {
        /// An Asyncify function that is there.
        present: String,
        /// The one that is not.
        missing: String,
    },
    /// A function that carries one of Asyncify's names is another function.
    AsyncifyExportType {
        /// The export.
        name: String,
        /// What Asyncify makes.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Asyncify needs a memory to unwind into.
    NoMemory,
    /// Only one memory is supported.
    SeveralMemories {
        /// How many the module declares and imports.
        count: u32,
    },
    /// A memory shared between threads cannot be unwound into.
    SharedMemory,

    // Linking a guest
    /// The module was not rewritten by Asyncify, but the host has imports that suspend.
    NotInstrumented {
        /// The suspending imports that the module asks for, maybe by a name that is nearly theirs.
        suspending: Vec<String>,
        /// The pass's arguments for this host.
        wasm_opt_args: String,
        /// The imports that cannot be linked either.
        mismatches: Vec<ImportMismatch>,
    },
    /// A function that calls a suspending import, maybe by way of others, was not instrumented for it.
    UninstrumentedCaller {
        /// The suspending import.
        import: String,
        /// The functions that call it and do not look at Asyncify's state afterwards, by name or
        /// index.
        functions: Vec<String>,
        /// The pass's arguments for this host.
        wasm_opt_args: String,
    },
    /// Functions were left out of the instrumentation by one of its lists.
    LeftOut {
        /// The functions: they call an instrumented one, and cannot be unwound with it.
        functions: Vec<String>,
        /// The import that was about to suspend below them; `None` when the guest is linked.
        import: Option<String>,
    },
    /// The host's imports do not fit what the module asks for.
    Imports(Vec<ImportMismatch>),
    /// Instantiating the module failed.
    Instantiate {
        /// What the engine said.
        source: BoxError,
    },
    /// A setting does not fit the engine or the guest.
    Config(String),

    // Looking something up
    /// The module's exports do not fit what was asked of them.
    Exports {
        /// The trait that describes the exports.
        interface: String,
        /// A line for each export that differs.
        mismatches: Vec<String>,
    },
    /// There is no such export.
    NoSuchExport {
        /// The kind that was asked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// What the guest has of that kind.
        present: Vec<String>,
    },
    /// There is no such global.
    NoSuchGlobal {
        /// The global that was asked for.
        name: String,
        /// The guest's mutable globals.
        present: Vec<String>,
    },
    /// There is no such import.
    NoSuchImport {
        /// The import that was asked for, as `module.name`.
        import: String,
        /// What the host has.
        present: Vec<String>,
    },
    /// A function was called with another signature than it has.
    SignatureMismatch {
        /// The function.
        function: String,
        /// The type that the caller expected.
        expected: String,
        /// The type it has.
        actual: String,
    },

    // A suspension that is refused
    /// A suspending import was called through another host function.
    HostFrame {
        /// The import that would have suspended.
        import: String,
    },
    /// The module's start function called a suspending import.
    StartFunction {
        /// The import that would have suspended.
        import: String,
    },
    /// An export that must not suspend reached an import that does.
    MustNotSuspend {
        /// The export that was called.
        function: String,
        /// The import that would have suspended.
        import: String,
    },
    /// An import was about to suspend below a function that drives Asyncify itself.
    DrivesAsyncify {
        /// The import.
        import: String,
        /// The functions on the stack that let frames be unwound and rewound, by themselves.
        functions: Vec<String>,
    },
    /// An import was about to suspend below frames of another instance in the guest's store.
    OtherInstance {
        /// The import.
        import: String,
        /// The functions of that instance.
        functions: Vec<String>,
        /// The name of its module, if it has one.
        module: Option<String>,
    },
    /// A second call would have to park, and where the guest's shadow stack is cannot be told.
    StackPointerUncertain {
        /// The import that would have waited.
        import: String,
        /// What was found instead.
        reason: String,
        /// [`Findings::collector`](crate::Findings::collector).
        collector: Option<String>,
    },

    // A value that crosses
    /// A pointer and length that a function was given lie outside the guest's memory.
    BadPointer {
        /// The function.
        function: String,
        /// The parameter, or `result`. Of an import with dynamic values, the parameter's position, or
        /// `pointer` for an address that none of them is.
        parameter: String,
        /// The first address.
        ptr: u64,
        /// The length in bytes.
        len: u64,
        /// The memory's size in bytes.
        memory_size: u64,
    },
    /// Bytes that should be text are not UTF-8.
    NotUtf8 {
        /// The function.
        function: String,
        /// The parameter, or `result`.
        parameter: String,
        /// Where the text breaks off.
        source: std::str::Utf8Error,
    },
    /// A value cannot be converted.
    BadValue {
        /// The function.
        function: String,
        /// The parameter, or `result`.
        parameter: String,
        /// What does not fit.
        source: BoxError,
    },
    /// An export returned text or bytes that its guest's allocator cannot take back.
    NotAllocated {
        /// The export.
        function: String,
        /// The address that it returned.
        ptr: u32,
        /// What the allocator ended with; `None` if it was not asked.
        source: Option<BoxError>,
    },

    // A guest that ends badly
    /// The guest trapped.
    Trap {
        /// The export that was called.
        function: String,
        /// The guest's functions on the stack, the innermost first, by name or index: as many as
        /// `wasmtime::Config::wasm_backtrace_max_frames` says.
        frames: Vec<String>,
        /// The trap, with the guest's backtrace. It downcasts to `wasmtime::Trap`.
        source: BoxError,
    },
    /// The guest recursed deeper than the engine lets wasm use the thread's stack.
    StackOverflow {
        /// The export that was called.
        function: String,
        /// The guest's functions on the stack, as of [`Trap`](Self::Trap).
        frames: Vec<String>,
        /// The trap, as of [`Trap`](Self::Trap).
        source: BoxError,
    },
    /// A call was stopped before it ran over the end of its shadow stack. The guest is not poisoned.
    ShadowStackOverflow {
        /// The export that was called.
        function: String,
        /// Bytes that it needs for the frame that did not fit, and those above it.
        needed: u64,
        /// Bytes that the stack has; at most so many, where the guest does not tell exactly.
        size: u64,
        /// Whether it ran in a region, not on the guest's own stack.
        in_region: bool,
        /// The trap, with the guest's backtrace. It downcasts to `wasmtime::Trap`.
        source: BoxError,
    },
    /// A function of the guest's allocator did not end well.
    Allocator {
        /// The export that was called, or the import, on whose behalf it ran.
        function: String,
        /// What it ended with. It names the allocator's function.
        source: Box<Error>,
    },
    /// A frame between export and import was not instrumented, and ran on while the guest unwound.
    FrameNotInstrumented {
        /// The export that was called.
        function: String,
        /// The import that was entered, and should not have been.
        import: String,
        /// The import that had suspended.
        suspended: String,
        /// What may be the matter with this guest.
        causes: String,
    },
    /// The guest and the host disagree about where a call stands.
    StateOutOfStep {
        /// The export that was called.
        function: String,
        /// What was expected, and what was found.
        reason: String,
        /// What may be the matter with this guest.
        causes: String,
    },

    // Room and limits
    /// The guest has no room for what the host must place in it.
    NoRoom {
        /// The window, a region for a shadow stack, or an argument.
        what: &'static str,
        /// Bytes that were asked for.
        size: u64,
        /// Why they could not be had, and what helps.
        reason: String,
    },
    /// A call's frames did not fit into the window.
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
    /// A limit of this guest is reached.
    Limit {
        /// The export that was called, or the import that was passed too much.
        function: String,
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The guest ran longer than it may.
    Deadline {
        /// The export that was called.
        function: String,
        /// The ticks it had.
        ticks: u64,
    },
    /// The guest used more of the engine's fuel than it may.
    OutOfFuel {
        /// The export that was called.
        function: String,
        /// The units that it had; `None` if [`Builder::fuel`](crate::Builder::fuel) gave none.
        fuel: Option<u64>,
    },

    // The guest and the call
    /// The guest is running, here or on another thread.
    Busy,
    /// The guest was used from inside one of its own imports, which would wait for itself.
    Reentered,
    /// An earlier call left the guest in a state that cannot be trusted.
    Poisoned {
        /// What the earlier call ended with.
        cause: String,
    },
    /// The guest was dropped while something still refers to it.
    GuestGone,
    /// The call was polled again after it had ended.
    CallEnded,
    /// A call was to be cancelled that does not wait in an import.
    NotParked {
        /// The export that was called.
        function: String,
    },

    // The host's own
    /// A host function ended the call with an error of its own.
    Host {
        /// The export that was called.
        function: String,
        /// The host function's error; see [`Error::downcast_ref`].
        source: BoxError,
        /// Whether it was [`Trap::poisoning`](crate::Trap::poisoning): the guest cannot be trusted any more.
        poisons: bool,
    },
}
