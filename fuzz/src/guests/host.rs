//! The guests' imports, and what they have seen.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use asyncify::wasmtime::{Engine, FuncType, Val, ValType};
use asyncify::{AsyncImports, ImportResult};

/// How many calls a guest is given, each in a slot of its own. Plain calls use the slot behind.
pub(super) const SLOTS: u32 = 24;

#[derive(Clone, Default)]
pub(super) struct Host(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Which waits are ready at once; `None` if all are.
    ready: Option<[u8; 8]>,
    slots: Vec<Slot>,
    /// Answers that differ, by slot and number.
    cancelled: HashMap<(u32, usize), i64>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Each import's kind and argument, in order.
    seen: Vec<(char, u64)>,
    waits: usize,
    /// The wait that is not yet answered.
    pending: Option<Pending>,
}

#[derive(Clone)]
struct Pending {
    ty: ValType,
    open: bool,
}

impl Host {
    /// Its imports wait, but for those that `ready` names.
    pub(super) fn waiting(ready: [u8; 8]) -> Self {
        Self::new(Some(ready), HashMap::new())
    }

    /// Its imports answer at once, with what those of `other` have answered.
    pub(super) fn at_once(other: &Self) -> Self {
        Self::new(None, other.lock().cancelled.clone())
    }

    fn new(ready: Option<[u8; 8]>, cancelled: HashMap<(u32, usize), i64>) -> Self {
        let slots = vec![Slot::default(); SLOTS as usize + 1];
        Self(Arc::new(Mutex::new(Inner { ready, slots, cancelled })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// Whether a call waits in an import.
    pub(super) fn waits(&self, slot: u32) -> bool {
        self.lock().slots[slot as usize].pending.is_some()
    }

    /// Whether it waits in one that has no answer yet.
    pub(super) fn waits_shut(&self, slot: u32) -> bool {
        self.lock().slots[slot as usize].pending.as_ref().is_some_and(|pending| !pending.open)
    }

    /// Lets the import answer that a call waits in.
    pub(super) fn open(&self, slot: u32) {
        if let Some(pending) = &mut self.lock().slots[slot as usize].pending {
            pending.open = true;
        }
    }

    /// The answer in place of the import's, if the call waits in one.
    pub(super) fn cancelled(&self, slot: u32, value: i64) -> Option<Val> {
        let mut inner = self.lock();
        let found = &inner.slots[slot as usize];
        let (ty, number) = (found.pending.as_ref()?.ty.clone(), found.waits - 1);
        inner.cancelled.insert((slot, number), value);
        Some(value_of(&ty, value))
    }

    pub(super) fn seen(&self, slot: u32) -> Vec<(char, u64)> {
        self.lock().slots[slot as usize].seen.clone()
    }

    pub(super) fn imports(&self, engine: &Engine) -> AsyncImports<()> {
        let mut imports = AsyncImports::new();
        for (name, ty) in
            [("wait", ValType::I32), ("wait64", ValType::I64), ("wait_f", ValType::F64)]
        {
            let host = self.clone();
            let signature = FuncType::new(engine, [ValType::I32, ty.clone()], [ty.clone()]);
            imports.define("env", name, signature, move |_, params| {
                Ok(host.wait(slot(&params[0]), &params[1], &ty))
            });
        }
        let host = self.clone();
        let signature = FuncType::new(engine, [ValType::I32, ValType::I32], []);
        imports.define_plain("env", "note", signature, move |_, params| {
            host.lock().see(slot(&params[0]), 'n', &params[1]);
            Ok(Vec::new())
        });
        imports
    }

    fn wait(&self, slot: u32, argument: &Val, ty: &ValType) -> ImportResult {
        let mut inner = self.lock();
        inner.see(slot, 'w', argument);
        let found = &mut inner.slots[slot as usize];
        let number = found.waits;
        found.waits += 1;
        let cancelled = inner.cancelled.get(&(slot, number)).copied();
        let value = cancelled.unwrap_or_else(|| answer(super::bits(argument), number));
        let answer = vec![value_of(ty, value)];
        match inner.ready {
            None => return ImportResult::Sync(answer),
            Some(ready) => {
                let bit = (slot as usize * 5 + number) % 64;
                if ready[bit / 8] & 1 << (bit % 8) != 0 {
                    return ImportResult::wait(async { Ok(answer) });
                }
            }
        }
        inner.slots[slot as usize].pending = Some(Pending { ty: ty.clone(), open: false });
        let gate = Gate { host: self.clone(), slot };
        ImportResult::wait(async move {
            gate.await;
            Ok(answer)
        })
    }
}

impl Inner {
    fn see(&mut self, slot: u32, import: char, argument: &Val) {
        self.slots[slot as usize].seen.push((import, super::bits(argument)));
    }
}

/// Waits until it is opened.
struct Gate {
    host: Host,
    slot: u32,
}

impl Future for Gate {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.host.waits_shut(self.slot) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.host.lock().slots[self.slot as usize].pending = None;
    }
}

fn slot(value: &Val) -> u32 {
    value.unwrap_i32().cast_unsigned().min(SLOTS)
}

/// What an import answers to an argument, at its turn.
fn answer(argument: u64, number: usize) -> i64 {
    let mixed = (argument ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).cast_signed()
}

fn value_of(ty: &ValType, value: i64) -> Val {
    match ty {
        #[allow(clippy::cast_possible_truncation, reason = "any value is as good as another")]
        ValType::I32 => Val::I32(value as i32),
        ValType::I64 => Val::I64(value),
        // A number, never a NaN.
        _ => Val::F64(f64::from((value >> 40) as i32).to_bits()),
    }
}
