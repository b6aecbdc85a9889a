//! Where a guest stands in the Asyncify cycle, and what may happen next. It knows no engine.
//!
//! | phase | an import is entered | the export returns |
//! | --- | --- | --- |
//! | `Normal` | it runs; a suspending one only where it may | the call ended |
//! | `Unwinding` | fault: a frame ran on | the call parks |
//! | `Rewinding` | the one that suspended is answered, any other is a fault | fault: never reached |

/// What the guest does, by the value of its state global.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It runs, or nothing does.
    #[default]
    Normal = 0,
    /// Its frames leave the stack for the window.
    Unwinding = 1,
    /// Its frames come back from the window.
    Rewinding = 2,
}

/// Whether an import that suspends may be entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MaySuspend {
    /// A call runs, and nothing but guest frames lies between it and the import.
    Yes,
    /// The export was declared as one that does not suspend.
    PlainExport,
    /// A host function called the guest.
    HostFrame,
    /// The guest is being instantiated.
    #[default]
    Start,
}

/// The kinds of imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answers at once.
    Plain,
    /// May wait.
    Suspending,
    /// Calls one function of the guest, which may suspend through it.
    Trampoline,
}

/// What an import does when it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Its work.
    Run,
    /// It answers the call that was rewound into it.
    Answer,
}

/// Why an import must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The guest unwinds: a frame that was not instrumented ran on.
    RanOn,
    /// The guest rewinds, and this is not where it suspended.
    Astray,
    /// It may not suspend here.
    Refused(MaySuspend),
}

/// What an export's return means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    /// The call has ended.
    Ended,
    /// Its frames are in the window.
    Unwound,
    /// It was to be rewound, and never came to the import.
    NeverReached,
}

/// The host's view of one guest.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    phase: Phase,
    /// What the state global holds. After a park it stays behind: what runs next writes its own.
    written: Phase,
    pub(crate) may_suspend: MaySuspend,
    /// A trampoline runs: what it calls may suspend through it.
    pub(crate) tunnel: bool,
}

impl Machine {
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// What the state global holds.
    #[inline]
    pub(crate) fn written(&self) -> Phase {
        self.written
    }

    /// An import is entered.
    #[inline]
    pub(crate) fn import(&self, kind: Kind) -> Result<Entry, Fault> {
        match (self.phase, kind) {
            (Phase::Normal, Kind::Suspending) if self.may_suspend != MaySuspend::Yes => {
                Err(Fault::Refused(self.may_suspend))
            }
            (Phase::Normal, _) | (Phase::Rewinding, Kind::Trampoline) => Ok(Entry::Run),
            (Phase::Rewinding, Kind::Suspending) => Ok(Entry::Answer),
            (Phase::Rewinding, Kind::Plain) => Err(Fault::Astray),
            (Phase::Unwinding, _) => Err(Fault::RanOn),
        }
    }

    /// The export returned, or ended otherwise: nothing runs any more.
    #[inline]
    pub(crate) fn returned(&mut self) -> Returned {
        self.may_suspend = MaySuspend::HostFrame;
        self.tunnel = false;
        match std::mem::take(&mut self.phase) {
            Phase::Normal => Returned::Ended,
            Phase::Unwinding => Returned::Unwound,
            Phase::Rewinding => Returned::NeverReached,
        }
    }

    /// Goes over to `phase`; whether the state global must be written.
    #[inline]
    #[must_use]
    pub(crate) fn go(&mut self, phase: Phase) -> bool {
        self.phase = phase;
        std::mem::replace(&mut self.written, phase) != phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 3] = [Phase::Normal, Phase::Unwinding, Phase::Rewinding];
    const MAY: [MaySuspend; 4] =
        [MaySuspend::Yes, MaySuspend::PlainExport, MaySuspend::HostFrame, MaySuspend::Start];
    const KINDS: [Kind; 3] = [Kind::Plain, Kind::Suspending, Kind::Trampoline];

    fn machine(phase: Phase, written: Phase, may_suspend: MaySuspend) -> Machine {
        Machine { phase, written, may_suspend, tunnel: false }
    }

    #[test]
    fn no_import_does_its_work_while_frames_leave() {
        for may in MAY {
            for kind in KINDS {
                let machine = machine(Phase::Unwinding, Phase::Unwinding, may);
                assert_eq!(machine.import(kind), Err(Fault::RanOn));
            }
        }
    }

    #[test]
    fn only_a_suspending_import_is_answered_and_only_while_frames_come_back() {
        for phase in PHASES {
            for may in MAY {
                for kind in KINDS {
                    let answered = machine(phase, phase, may).import(kind) == Ok(Entry::Answer);
                    let may_be = phase == Phase::Rewinding && kind == Kind::Suspending;
                    assert_eq!(answered, may_be, "{phase:?} {may:?} {kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_plain_import_runs_in_state_normal_alone_and_is_never_refused() {
        for may in MAY {
            for (phase, outcome) in
                PHASES.into_iter().zip([Ok(Entry::Run), Err(Fault::RanOn), Err(Fault::Astray)])
            {
                assert_eq!(machine(phase, phase, may).import(Kind::Plain), outcome);
            }
        }
    }

    #[test]
    fn a_suspending_import_runs_only_where_the_guest_alone_is_on_the_stack() {
        for may in MAY {
            let entered = machine(Phase::Normal, Phase::Normal, may).import(Kind::Suspending);
            let expected =
                if may == MaySuspend::Yes { Ok(Entry::Run) } else { Err(Fault::Refused(may)) };
            assert_eq!(entered, expected);
        }
    }

    #[test]
    fn a_return_leaves_nothing_running_whatever_it_was() {
        let meanings = [Returned::Ended, Returned::Unwound, Returned::NeverReached];
        for (phase, meaning) in PHASES.into_iter().zip(meanings) {
            for written in PHASES {
                for may in MAY {
                    let mut machine = machine(phase, written, may);
                    machine.tunnel = true;
                    assert_eq!(machine.returned(), meaning);
                    assert_eq!(machine.phase(), Phase::Normal);
                    assert_eq!(machine.written(), written, "a return writes nothing");
                    assert_eq!(machine.may_suspend, MaySuspend::HostFrame);
                    assert!(!machine.tunnel);
                }
            }
        }
    }

    /// The state global as a guest would hold it, for every sequence of eight steps.
    #[test]
    fn the_global_holds_what_the_host_believes_it_does() {
        for sequence in 0..4_u32.pow(8) {
            let mut machine = Machine::default();
            let mut global = Phase::Normal;
            for step in 0..8 {
                match sequence >> (2 * step) & 3 {
                    3 => {
                        machine.returned();
                    }
                    phase => {
                        let phase = PHASES[phase as usize];
                        if machine.go(phase) {
                            global = phase;
                        }
                        assert_eq!(machine.phase(), global);
                    }
                }
                assert_eq!(machine.written(), global);
            }
        }
    }
}
