//! Calls that do not end by themselves: traps, host errors, panics; and who else is told.

mod flight;

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asyncify_rt::{Builder, Call, Error, Guest, ImportResult, Module, Result, StackPolicy, Trap};
use flight::{Count, Gates, block_on, i32, poll, stack_pointer};
use wasmtime::{Engine, FuncType, Val, ValType};

/// What the import does for this number, from which the guest makes a buffer on its stack.
const TRAPS: u32 = 13;
const FAILS: u32 = 14;
const PANICS_LATER: u32 = 15;
const PANICS: u32 = 16;
const PANICS_POLLED: u32 = 17;
const FAILS_AT_ONCE: u32 = 18;
const WORKS: u32 = 100;

const KINDS: [u32; 6] = [TRAPS, FAILS, PANICS_LATER, PANICS, PANICS_POLLED, FAILS_AT_ONCE];

/// Those that wait first.
const PARKS: [u32; 3] = [TRAPS, FAILS, PANICS_LATER];

/// `fill_stack` answers this for what `WORKS` fills in.
const EMPTY: u32 = 2_166_136_261;

const TRAPPED: &str = "`fill_stack` trapped: wasm `unreachable` instruction executed";
const FAILED: &str = "`fill_stack` was ended by the host: out of ink";

#[derive(Debug, thiserror::Error)]
#[error("out of ink")]
struct OutOfInk;

struct Rig {
    guest: Guest,
    module: Module,
    gates: Gates,
    base: Option<u32>,
}

fn rig(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Rig {
    let engine = Engine::default();
    let gates = Gates::default();
    let waiting = gates.clone();
    let mut imports = asyncify_rt::AsyncImports::new();
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], [ValType::I32]);
    imports.define("env", "fill", ty, move |_, params| {
        let kind = params[1].unwrap_i32().cast_unsigned();
        assert!(kind != PANICS, "ink on the floor");
        if kind == FAILS_AT_ONCE {
            return Err(Trap::from(OutOfInk));
        }
        let gate = waiting.wait();
        Ok(ImportResult::wait(async move {
            assert!(kind != PANICS_POLLED, "ink on the floor");
            gate.await;
            assert!(kind != PANICS_LATER, "ink on the floor");
            match kind {
                // More than it has room for: the guest traps.
                TRAPS => Ok(vec![i32(300)]),
                FAILS => Err(Trap::from(OutOfInk)),
                _ => Ok(vec![i32(0)]),
            }
        }))
    });
    let module = flight::module(&engine, "marshal.wasm");
    let builder = Guest::builder(&module).async_imports(imports).trap_unknown_imports();
    let guest = block_on(configure(builder).instantiate()).unwrap();
    let base = stack_pointer(&guest, &module);
    Rig { guest, module, gates, base }
}

impl Rig {
    fn call(&self, kind: u32) -> Call<Vec<Val>> {
        self.guest.all_exports().function("fill_stack").unwrap().call([i32(kind)])
    }

    fn parked(&self, kind: u32) -> Call<Vec<Val>> {
        let mut call = self.call(kind);
        assert!(poll(&mut call).is_pending());
        call
    }

    fn works(&self) -> Result<()> {
        let mut call = self.call(WORKS);
        let answer = loop {
            if let Poll::Ready(answer) = poll(&mut call) {
                break answer?;
            }
            self.gates.open(*self.gates.waiting().last().unwrap());
        };
        assert_eq!(answer[0].unwrap_i32().cast_unsigned(), EMPTY);
        Ok(())
    }

    /// Runs a call of this kind to its end: an error, or a panic.
    fn end(&self, kind: u32) -> Option<Error> {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut call = self.call(kind);
            loop {
                if let Poll::Ready(answer) = poll(&mut call) {
                    return answer.unwrap_err();
                }
                self.gates.open(*self.gates.waiting().last().unwrap());
            }
        }));
        ended.ok()
    }

    /// The guest takes new calls, and the one that was parked ends well.
    fn goes_on(&self, parked: Call<Vec<Val>>) {
        self.works().unwrap();
        self.gates.open_all();
        block_on(parked).unwrap();
        assert_eq!(stack_pointer(&self.guest, &self.module), self.base);
    }

    fn is_poisoned(&self) -> bool {
        block_on(self.guest.is_poisoned()).unwrap()
    }

    fn parked_calls(&self) -> usize {
        block_on(self.guest.stats()).unwrap().parked_calls
    }
}

fn cause(error: &Error) -> &str {
    match error {
        Error::Poisoned { cause } => cause,
        other => panic!("{other}"),
    }
}

#[test]
fn a_trap_poisons_and_names_itself() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let rig = rig(|builder| builder.stack_policy(policy));
        let (mut first, mut second) = (rig.parked(WORKS), rig.parked(WORKS));
        let (early, late) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let poll_with = |call: &mut Call<Vec<Val>>, count: &Arc<Count>| {
            Pin::new(call).poll(&mut Context::from_waker(&count.waker()))
        };
        assert!(poll_with(&mut first, &early).is_pending());
        assert!(poll_with(&mut second, &early).is_pending());
        assert!(poll_with(&mut second, &late).is_pending());

        let error = rig.end(TRAPS).unwrap();
        assert!(matches!(&error, Error::Trap { function, .. } if function == "fill_stack"));
        let trap = error.downcast_ref::<wasmtime::Trap>();
        assert_eq!(trap, Some(&wasmtime::Trap::UnreachableCodeReached));
        assert!(rig.is_poisoned());
        assert_eq!((early.count(), late.count()), (1, 1));

        // Those that were parked and those that come are told, and no import's future is left.
        let Poll::Ready(Err(error)) = poll(&mut first) else { panic!("it goes on") };
        assert_eq!(cause(&error), TRAPPED);
        assert_eq!(rig.gates.dropped(), 1);
        assert_eq!(cause(&rig.works().unwrap_err()), TRAPPED);
        let plain = block_on(rig.guest.with(|cx| cx.call::<(), u32>("live_bytes", ()))).unwrap();
        assert_eq!(cause(&plain.unwrap_err()), TRAPPED);

        // It is opened for new calls, and not for the one that was parked.
        block_on(rig.guest.clear_poison()).unwrap();
        assert!(!rig.is_poisoned());
        rig.works().unwrap();
        rig.gates.open_all();
        assert_eq!(cause(&block_on(second).unwrap_err()), TRAPPED);
        assert_eq!(rig.parked_calls(), 0);
        rig.works().unwrap();
        assert_eq!(stack_pointer(&rig.guest, &rig.module), rig.base);
    }
}

#[test]
fn a_trap_leaves_the_guest_open_if_asked_to() {
    let rig = rig(Builder::trap_keeps_guest);
    let parked = rig.parked(WORKS);
    assert!(matches!(rig.end(TRAPS).unwrap(), Error::Trap { .. }));
    assert!(!rig.is_poisoned());
    rig.goes_on(parked);
}

#[test]
fn a_host_functions_error_ends_its_call_only() {
    for kind in [FAILS, FAILS_AT_ONCE] {
        let rig = rig(|builder| builder);
        let parked = rig.parked(WORKS);
        let error = rig.end(kind).unwrap();
        assert!(error.downcast_ref::<OutOfInk>().is_some(), "{error}");
        assert_eq!(error.to_string(), FAILED);
        assert!(error.source().is_none(), "the message has told it");
        assert!(!rig.is_poisoned());
        rig.goes_on(parked);
    }
}

#[test]
fn a_host_functions_error_poisons_if_asked_to() {
    for kind in [FAILS, FAILS_AT_ONCE] {
        let rig = rig(Builder::host_end_poisons);
        let parked = rig.parked(WORKS);
        assert!(matches!(rig.end(kind).unwrap(), Error::Host { .. }));
        assert_eq!(cause(&block_on(parked).unwrap_err()), FAILED);
        block_on(rig.guest.clear_poison()).unwrap();
        rig.works().unwrap();
        assert_eq!(stack_pointer(&rig.guest, &rig.module), rig.base);
    }
}

#[test]
fn a_dropped_call_poisons_if_asked_to() {
    let rig = rig(Builder::host_end_poisons);
    let mut parked = rig.parked(WORKS);
    drop(rig.parked(WORKS));
    assert!(rig.is_poisoned());
    let Poll::Ready(Err(error)) = poll(&mut parked) else { panic!("it goes on") };
    assert_eq!(cause(&error), "a call was dropped while it was parked");
    // What had ended already poisons no more.
    let dead = {
        block_on(rig.guest.clear_poison()).unwrap();
        let dead = rig.parked(WORKS);
        drop(rig.parked(WORKS));
        assert!(rig.is_poisoned());
        dead
    };
    block_on(rig.guest.clear_poison()).unwrap();
    drop(dead);
    assert!(!rig.is_poisoned());
    rig.works().unwrap();
}

#[test]
fn a_panic_reaches_the_caller_and_leaves_no_lock_held() {
    for kind in [PANICS, PANICS_POLLED] {
        let rig = rig(|builder| builder);
        let parked = rig.parked(WORKS);
        assert!(rig.end(kind).is_none(), "it panics");
        assert!(rig.is_poisoned());
        assert_eq!(cause(&block_on(parked).unwrap_err()), "a host function panicked");
        block_on(rig.guest.clear_poison()).unwrap();
        rig.works().unwrap();
        assert_eq!(stack_pointer(&rig.guest, &rig.module), rig.base);
        assert_eq!(rig.parked_calls(), 0);
    }
}

/// No wasm was running: it is as if the call had been dropped.
#[test]
fn a_panic_of_a_parked_calls_import_ends_that_call_only() {
    let rig = rig(|builder| builder);
    let parked = rig.parked(WORKS);
    assert!(rig.end(PANICS_LATER).is_none(), "it panics");
    assert_eq!(rig.parked_calls(), 1);
    assert!(!rig.is_poisoned());
    rig.goes_on(parked);
}

#[test]
fn other_guests_know_nothing_of_a_panic() {
    let (broken, whole) = (rig(|builder| builder), rig(|builder| builder));
    let parked = whole.parked(WORKS);
    assert!(broken.end(PANICS).is_none());
    whole.works().unwrap();
    whole.gates.open_all();
    block_on(parked).unwrap();
}

/// A plain call from the host is a run too.
#[test]
fn what_a_plain_call_ends_with() {
    let rig = rig(|builder| builder);
    let plain = |kind: u32| rig.guest.with(move |cx| cx.call::<u32, u32>("fill_stack", kind));
    let failed = block_on(plain(FAILS_AT_ONCE)).unwrap().unwrap_err();
    assert!(matches!(failed, Error::HostFrame { .. }), "{failed}");
    assert!(!rig.is_poisoned());
    // This one frees what was never allocated.
    let trapped = rig.guest.with(|cx| cx.call::<u32, ()>("free", 64));
    assert!(matches!(block_on(trapped).unwrap(), Err(Error::Trap { .. })));
    assert!(rig.is_poisoned());
    block_on(rig.guest.clear_poison()).unwrap();
    assert_eq!(stack_pointer(&rig.guest, &rig.module), rig.base);
    rig.works().unwrap();
}

/// However calls end, in whatever order: the guest can be opened again, and is right then.
#[test]
fn every_end_leaves_state_and_stack_right() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let rig = rig(|builder| builder.stack_policy(policy));
        for (kind, other) in
            KINDS.iter().flat_map(|kind| PARKS.iter().map(move |other| (kind, other)))
        {
            let parked = (rig.parked(WORKS), rig.parked(*other));
            rig.end(*kind);
            drop(parked);
            block_on(rig.guest.clear_poison()).unwrap();
            rig.works().unwrap();
            assert_eq!(stack_pointer(&rig.guest, &rig.module), rig.base);
            assert_eq!(rig.parked_calls(), 0);
        }
    }
}
