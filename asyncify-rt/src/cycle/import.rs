//! The cycle as an import sees it: called, left while the guest unwinds, answered when rewound.

use super::set_state;
use crate::cx::GuestCx;
use crate::error::{Boxed, Error, Name, Thin};
use crate::imports::wasm_opt_args;
use crate::machine::{Entry, Fault, Kind, MaySuspend, Phase};
use crate::marshal::Passed;
use crate::nesting;
use crate::state::{Pending, Resuming, Runtime, Suspended};

/// What a suspending import does when it is entered.
pub(crate) enum Entered {
    /// The guest calls it.
    Called,
    /// The guest was rewound into it, to be answered.
    Resumed(Resuming),
}

/// A suspending import is entered. Its name is asked for only where it is told.
#[inline]
pub(crate) fn enter_suspending<'i, T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    import: impl FnOnce() -> (&'i str, &'i str),
) -> Thin<Entered> {
    match cx.runtime().machine.import(Kind::Suspending) {
        Ok(Entry::Run) => {
            cx.rt().run.passed = Passed::SUSPENDING;
            Ok(Entered::Called)
        }
        Ok(Entry::Answer) => Ok(Entered::Resumed(stop_rewind(cx, import())?)),
        Err(fault) => Err(tell(cx.runtime(), fault, import)),
    }
}

/// A plain import is entered, or a trampoline.
#[inline]
pub(crate) fn enter_plain<'i>(
    rt: &Runtime,
    kind: Kind,
    import: impl FnOnce() -> (&'i str, &'i str),
) -> Thin<()> {
    match rt.machine.import(kind) {
        Ok(_) => Ok(()),
        Err(fault) => Err(tell(rt, fault, import)),
    }
}

/// Lets the guest unwind out of an import that waits.
pub(crate) fn start_unwind<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    pending: Suspended,
) -> Thin<()> {
    let begun = begin_unwind(cx, &*pending);
    let run = &mut cx.rt().run;
    match begun {
        Ok(()) => run.suspended = Some(pending),
        Err(_) => run.ended.push(pending),
    }
    begun
}

fn begin_unwind<T: Send + 'static>(cx: &mut GuestCx<'_, T>, pending: &dyn Pending) -> Thin<()> {
    let rt = cx.rt();
    if rt.asyncify.is_none() {
        return Err(Error::NotInstrumented {
            wasm_opt_args: wasm_opt_args([pending.id()]),
            suspending: vec![pending.import()],
            mismatches: Vec::new(),
        }
        .into());
    }
    cx.check_frames(pending)?;
    let rt = cx.rt();
    let record = rt.run.key.and_then(|key| rt.parked.get(key));
    if record.map_or(0, |record| record.suspensions) >= rt.limits.suspensions_per_call {
        return Err(Error::limit("suspensions of one call", rt.limits.suspensions_per_call).into());
    }
    if nesting::depth() >= rt.limits.nested_calls {
        return Err(Error::limit("calls within each other", rt.limits.nested_calls as u64).into());
    }
    if rt.stats.parked_calls >= rt.limits.parked_calls {
        return Err(Error::limit("parked calls", rt.limits.parked_calls as u64).into());
    }
    if rt.stats.parked_calls > 0
        && let Some((reason, collector)) = rt.stack.refuses_second()
    {
        let (import, reason) = (pending.import(), reason.to_owned());
        let collector = collector.map(str::to_owned);
        return Err(Error::StackPointerUncertain { import, reason, collector }.into());
    }
    cx.ensure_window(0)?;
    cx.open_window()?;
    Ok(set_state(cx, Phase::Unwinding)?)
}

/// Ends a rewinding in the import where it should.
fn stop_rewind<T: Send + 'static>(cx: &mut GuestCx<'_, T>, import: (&str, &str)) -> Thin<Resuming> {
    let reached = |resuming: &mut Resuming| is_same(resuming.pending.id(), import);
    let Some(resuming) = cx.rt().run.resuming.take_if(reached) else {
        return Err(astray(cx.runtime(), import).into());
    };
    set_state(cx, Phase::Normal)?;
    if !cx.is_window_empty()? {
        return Err(Error::out_of_step(format!(
            "not all frames were rewound before {} was reached",
            Name(&format!("{}.{}", import.0, import.1))
        ))
        .into());
    }
    Ok(resuming)
}

/// Whether two ids are of one import. Mostly they are the same strings in memory, which is seen at
/// once.
#[inline]
fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
    std::ptr::eq(one.0, other.0) && std::ptr::eq(one.1, other.1) || one == other
}

#[cold]
fn tell<'i>(rt: &Runtime, fault: Fault, import: impl FnOnce() -> (&'i str, &'i str)) -> Boxed {
    let (module, name) = import();
    let (function, import) = (String::new(), format!("{module}.{name}"));
    let error = match fault {
        Fault::RanOn => {
            let suspended = rt.run.suspended.as_ref().map(|pending| pending.import());
            let suspended = suspended.unwrap_or_default();
            Error::FrameNotInstrumented { function, import, suspended, causes: String::new() }
        }
        Fault::Astray => astray(rt, (module, name)),
        Fault::Refused(MaySuspend::PlainExport) => Error::MustNotSuspend { function, import },
        Fault::Refused(MaySuspend::Start) => Error::StartFunction { import },
        Fault::Refused(MaySuspend::HostFrame | MaySuspend::Yes) => Error::HostFrame { import },
    };
    error.into()
}

#[cold]
fn astray(rt: &Runtime, (module, name): (&str, &str)) -> Error {
    let import = rt.run.resuming.as_ref().map(|resuming| resuming.pending.import());
    Error::out_of_step(format!(
        "it was rewound into {}, but it had suspended in {}",
        Name(&format!("{module}.{name}")),
        Name(&import.unwrap_or_default())
    ))
}
