//! The cycle as an import sees it: called, left while the guest suspends, answered when it resumes.

use crate::error::{Boxed, Error, Thin};
use crate::parts::machine::{Entry, Fault, Kind, MaySuspend};
use crate::parts::nesting;
use crate::parts::passed::Passed;
use crate::store::{Pending, Resuming, Runtime, Suspended, Vm};
use crate::suspend;

/// What a suspending import does when it is entered.
pub(crate) enum Entered {
    /// The guest calls it.
    Called,
    /// The guest resumes in it: it is to be answered.
    Resumed(Resuming),
}

/// A suspending import is entered. Its name is asked for only where it is told.
#[inline]
pub(crate) fn enter_suspending<'i, T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    import: impl FnOnce() -> (&'i str, &'i str),
) -> Thin<Entered> {
    match vm.runtime().machine.import(Kind::Suspending) {
        Ok(Entry::Run) => {
            vm.rt().run.passed = Passed::SUSPENDING;
            Ok(Entered::Called)
        }
        Ok(Entry::Answer) => Ok(Entered::Resumed(suspend::answer(vm, import())?)),
        Err(fault) => Err(tell(vm.runtime(), fault, import)),
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

/// Lets the guest suspend in an import that waits.
pub(crate) fn suspend_in<T: Send + 'static>(vm: &mut Vm<'_, T>, pending: Suspended) -> Thin<()> {
    let begun = begin(vm, &*pending);
    let run = &mut vm.rt().run;
    match begun {
        Ok(()) => run.suspended = Some(pending),
        Err(_) => run.ended.push(pending),
    }
    begun
}

fn begin<T: Send + 'static>(vm: &mut Vm<'_, T>, pending: &dyn Pending) -> Thin<()> {
    suspend::check_able(vm.rt(), pending)?;
    suspend::check_frames(vm, pending)?;
    let rt = vm.rt();
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
        && let Some((reason, collector)) = rt.refuses_second()
    {
        let (import, reason) = (pending.import(), reason.to_owned());
        let collector = collector.map(str::to_owned);
        return Err(Error::StackPointerUncertain { import, reason, collector }.into());
    }
    vm.make_room_for_frames(0)?;
    suspend::begin(vm)
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
        Fault::Astray => suspend::astray(rt, (module, name)),
        Fault::Refused(MaySuspend::PlainExport) => Error::MustNotSuspend { function, import },
        Fault::Refused(MaySuspend::Start) => Error::StartFunction { import },
        Fault::Refused(MaySuspend::HostFrame | MaySuspend::Yes) => Error::HostFrame { import },
    };
    error.into()
}
