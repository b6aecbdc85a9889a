//! What each error says. Whatever a guest or a file chose stands in a `Name` or a `Text`.

use std::fmt;

use super::Error;
use super::name::{Command, Name, Text};
use super::text::{Frames, Names, lines, meant, pronoun, subject};

/// Where from a list left functions, and the way out.
const LISTS: &str = "out of the instrumentation; instrument the original module without `asyncify-ignore-indirect` and `asyncify-removelist`, or name all such functions in `asyncify-addlist` or `asyncify-onlylist`";

impl fmt::Display for Error {
    #[allow(clippy::too_many_lines, reason = "a sentence for each variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "cannot read {}: {}", Name(path), self.reason()),
            Self::InvalidModule { file, .. } => {
                match file {
                    Some(file) => Name(file).fmt(f)?,
                    None => f.write_str("this")?,
                }
                write!(
                    f,
                    " is not a WebAssembly module that the engine accepts: {}",
                    self.reason()
                )
            }
            Self::StalePrepared { reason } => write!(
                f,
                "the kept module cannot be used: {}; prepare the original module again",
                Text(reason)
            ),
            Self::NotInstrumented { suspending, wasm_opt_args, mismatches } => {
                write!(f,
                "the module is not instrumented, and {}; run\n    wasm-opt guest.wasm --asyncify -O2 {} -o guest.async.wasm\nif that refuses an instruction, the guest was stripped of the list of its features: add --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int",
                subject(suspending, "suspend"),
                Command(wasm_opt_args)
            )?;
            if mismatches.is_empty() {
                return Ok(());
            }
            f.write_str("\nand ")?;
            super::mismatch::describe(mismatches, f)
            }
            Self::MissingAsyncifyExport { present, missing } => write!(
                f,
                "the module exports {} but nothing that works as {}; run `wasm-opt --asyncify` on it again, and keep later tools from removing exports",
                Name(present),
                Name(missing)
            ),
            Self::AsyncifyExportType { name, expected, found } => write!(
                f,
                "the module's export {} should be {}, but is {}; rename it, or instrument the module again",
                Name(name),
                Text(expected),
                Text(found)
            ),
            Self::NoMemory => f.write_str(
                "the module has no memory, and Asyncify unwinds into one; link the guest with a memory",
            ),
            Self::SeveralMemories { count } => write!(
                f,
                "the module has {count} memories, and only one is supported; link the guest with a single memory"
            ),
            Self::SharedMemory => f.write_str(
                "the module's memory is shared between threads, which is not supported; build the guest without threads",
            ),
            Self::UninstrumentedCaller { import, functions, wasm_opt_args } => write!(
                f,
                "import {} suspends, but {} it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with {}",
                Name(import),
                subject(functions, "call"),
                Command(wasm_opt_args)
            ),
            Self::LeftOut { functions, import: None } => write!(
                f,
                "{} what is instrumented, and cannot be unwound with it: a suspension there would give wrong answers, as a list left {} {LISTS}; if nothing that waits is called there, use `Builder::trust_instrumentation`",
                subject(functions, "call"),
                pronoun(functions)
            ),
            Self::LeftOut { functions, import: Some(import) } => write!(
                f,
                "{} suspends, and was reached through {}, which cannot be unwound: a list left {} {LISTS}",
                Name(import),
                Names(functions),
                pronoun(functions)
            ),
            Self::DrivesAsyncify { import, functions } => write!(
                f,
                "{} suspends, and was reached through {}: this guest drives Asyncify itself there, and its own frames can be unwound no further; let it wait where none of these is on the stack",
                Name(import),
                Names(functions)
            ),
            Self::OtherInstance { import, functions, module } => {
                write!(f, "{} suspends, and was reached through {} of another instance", Name(import), Names(functions))?;
                if let Some(module) = module {
                    write!(f, ", of the module {}", Name(module))?;
                }
                f.write_str(" in the guest's store, whose frames cannot be unwound with the guest's; make that instance a guest of its own, and call it from an async import")
            }
            Self::Imports(mismatches) => super::mismatch::describe(mismatches, f),
            Self::Exports { interface, mismatches } => write!(
                f,
                "the guest's exports differ from {}:{}",
                Name(interface),
                lines(mismatches)
            ),
            Self::NoSuchExport { kind, name, present } => write!(
                f,
                "the guest exports no {kind} {}{}; it exports {}",
                Name(name),
                meant(name, present),
                Names(present)
            ),
            Self::NoSuchGlobal { name, present } => write!(
                f,
                "the module has no mutable global {}{}; it has {}",
                Name(name),
                meant(name, present),
                Names(present)
            ),
            Self::NoSuchImport { import, present } => write!(
                f,
                "the host has no import {}{}; it has {}",
                Name(import),
                meant(import, present),
                Names(present)
            ),
            Self::SignatureMismatch { function, expected, actual } => write!(
                f,
                "{} has the type {}, and was used as {}",
                Name(function),
                Text(actual),
                Text(expected)
            ),
            Self::Instantiate { .. } => {
                write!(f, "the module could not be instantiated: {}", self.reason())
            }
            Self::NoRoom { what, size, reason } => {
                write!(f, "no room for {what} of {size} bytes in the guest: {}", Text(reason))
            }
            Self::WindowTooSmall { function, needed, size, poisoned } => write!(
                f,
                "{} needed at least {needed} bytes to unwind, and the window has {size}; {}",
                Name(function),
                if *poisoned {
                    "what lay behind it in the guest is overwritten and the guest is poisoned; start it with a larger `Builder::window_size`"
                } else {
                    "nothing was overwritten, and the next call gets a larger window; call again, or start with a larger `Builder::window_size`"
                }
            ),
            Self::StackPointerUncertain { import, reason, collector: None } => write!(
                f,
                "{} cannot suspend a second call: {}; name the stack pointer with `Builder::stack_pointer`, say with `Builder::no_stack_pointer` that there is none, or let one call suspend at a time, which `StackPolicy::Exclusive` sees to",
                Name(import),
                Text(reason)
            ),
            Self::StackPointerUncertain { import, reason, collector: Some(collector) } => write!(
                f,
                "{} cannot suspend a second call: {}; let calls take turns with `StackPolicy::Exclusive`: the module has functions named {}, as where a collector scans the guest's stack, and that must find what waiting calls hold there",
                Name(import),
                Text(reason),
                Name(collector)
            ),
            Self::ShadowStackOverflow { function, needed, size, in_region, .. } => {
                let (whose, cure) = if *in_region {
                    (
                        "its region has",
                        "give the regions more with `Builder::region_size`, or let calls run on the guest's own stack with `StackPolicy::Copied`",
                    )
                } else {
                    (
                        "the guest's own stack has",
                        "link the guest with a larger stack (`-z stack-size=…` of wasm-ld, `-sSTACK_SIZE=…` of Emscripten), or let it recurse less",
                    )
                };
                write!(
                    f,
                    "{} needs at least {needed} bytes of shadow stack, and {whose} {size}; nothing was overwritten; {cure}",
                    Name(function)
                )
            }
            Self::FrameNotInstrumented { function, import, suspended, causes } => write!(
                f,
                "{} reached import {} while its stack was unwound: a function on the way to {} ran on; it may be that {}",
                Name(function),
                Name(import),
                Name(suspended),
                Text(causes)
            ),
            Self::HostFrame { import } => write!(
                f,
                "{} suspends, and was called through a host function, whose frame cannot be unwound; call the guest from an async import instead, or from one marked `#[asyncify(trampoline)]`",
                Name(import)
            ),
            Self::StartFunction { import } => write!(
                f,
                "the module's start function reached {}, which suspends, and a start function cannot be unwound; do that work in an export, and name it with `Builder::initialize`",
                Name(import)
            ),
            Self::MustNotSuspend { function, import } => write!(
                f,
                "{} must not suspend, and reached {}, which suspends; declare it as an `async fn`",
                Name(function),
                Name(import)
            ),
            Self::StateOutOfStep { function, reason, causes } => write!(
                f,
                "{}: {}; it may be that {}",
                Name(function),
                Text(reason),
                Text(causes)
            ),
            Self::Busy => f.write_str("the guest is busy; await the call, or try again later"),
            Self::Reentered => f.write_str(
                "the guest was used from inside one of its own imports while that import runs; use the `GuestCx` it is handed, or call from an `async fn` import",
            ),
            Self::Poisoned { cause } => write!(
                f,
                "the guest is poisoned: {}; start a new one, or open it for new calls with `Guest::clear_poison`",
                Text(cause)
            ),
            Self::Limit { function, what, limit } => write!(
                f,
                "{} reached the limit of {limit} {what}; raise it with `Builder::limits`",
                Name(function)
            ),
            Self::Deadline { function, ticks } => write!(
                f,
                "{} ran for more than {ticks} epoch ticks without suspending; raise `Builder::epoch_deadline`, or let the guest suspend more often",
                Name(function)
            ),
            Self::OutOfFuel { function, fuel: Some(fuel) } => write!(
                f,
                "{} used up its {fuel} units of fuel without suspending; raise `Builder::fuel`, or let the guest suspend more often",
                Name(function)
            ),
            Self::OutOfFuel { function, fuel: None } => write!(
                f,
                "{} has no fuel left in the store: the engine counts it, and the builder gives this guest none; give each run its own with `Builder::fuel`, set more through the store, or leave `Config::consume_fuel` off",
                Name(function)
            ),
            Self::BadPointer { function, parameter, ptr, len, memory_size } => write!(
                f,
                "{}: parameter {} is {len} bytes at {ptr:#x}, but the memory ends at {memory_size:#x}",
                Name(function),
                Name(parameter)
            ),
            Self::NotUtf8 { function, parameter, .. } => write!(
                f,
                "{}: parameter {} is not UTF-8: {}",
                Name(function),
                Name(parameter),
                self.reason()
            ),
            Self::BadValue { function, parameter, .. } => write!(
                f,
                "{}: parameter {}: {}",
                Name(function),
                Name(parameter),
                self.reason()
            ),
            Self::NotAllocated { function, ptr, source } => write!(
                f,
                "the result of {} must come from the guest's allocator, and {ptr:#x} {}; allocate it (in AssemblyScript, `__pin` it), or declare the result as `Lent<_>` if it stays the guest's",
                Name(function),
                if source.is_some() { "could not be freed" } else { "is in the module's own data" }
            ),
            Self::GuestGone => {
                f.write_str("the guest is gone; keep a `Guest` for as long as it is used")
            }
            Self::CallEnded => f.write_str("the call has already ended; poll it no more"),
            Self::NotParked { function } => write!(
                f,
                "{} is not parked, so there is no import to answer; drop the call instead",
                Name(function)
            ),
            Self::Trap { function, frames, .. } => write!(
                f,
                "{} trapped: {}{}",
                Name(function),
                self.reason(),
                Frames(frames)
            ),
            Self::StackOverflow { function, frames, .. } => write!(
                f,
                "{} overflowed the wasm stack{}; raise `wasmtime::Config::max_wasm_stack` (512 KiB unless it was set; above 2 MiB, `async_stack_size` as well), and with it the stack of the threads that poll the call, or let the guest recurse less",
                Name(function),
                Frames(frames)
            ),
            Self::Allocator { function, source } => {
                write!(f, "{}: the guest's allocator {source}", Name(function))
            }
            Self::Host { function, .. } => {
                write!(f, "{} was ended by the host: {}", Name(function), self.reason())
            }
            Self::Config(mistake) => Text(mistake).fmt(f),
        }
    }
}
