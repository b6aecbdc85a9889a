//! Drives one call of an instrumented guest from its start to its end, through all suspensions.

use wasmtime::{
    AsContextMut, Caller, Error, Extern, Func, Global, Instance, Memory, Result, Store,
    StoreContextMut, Val,
};

use crate::worlds::Host;

/// What each suspension is answered with; a guest that waits for nothing must not see it.
const CANARY: i64 = 0x5AFE_CAFE_5AFE_CAFE;

/// What stands in the frame memory while a call is parked.
const FILL: u8 = 0xEE;

/// How often one action may suspend. Loops go on without, so that they end.
const SUSPENSIONS: u32 = 20_000;

/// How many bytes of frames one action may move out. Deep recursion goes on without.
const BYTES: usize = 256 << 20;

/// Which guests are driven, and when they suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The plain module on both sides.
    Control,
    /// At every function entry and loop head.
    Heads,
    /// Before every operator.
    Everywhere,
    /// Before every operator, after a random number of them.
    Random,
    /// In each call of a `spectest` function.
    Imports,
}

/// When the guests of a world suspend.
pub(crate) struct Plan {
    way: Way,
    random: u64,
    left: u32,
    bytes: usize,
}

impl Plan {
    pub(crate) fn new(way: Way, seed: u64) -> Self {
        Self { way, random: seed | 1, left: SUSPENSIONS, bytes: BYTES }
    }

    /// Begins the next action.
    pub(crate) fn refresh(&mut self) {
        self.left = SUSPENSIONS;
        self.bytes = BYTES;
    }

    fn may_suspend(&self) -> bool {
        self.left > 0 && self.bytes > 0
    }

    /// The yield counter's next value.
    fn counter(&mut self) -> i32 {
        if !self.may_suspend() {
            return 0;
        }
        match self.way {
            Way::Control | Way::Imports => 0,
            Way::Heads | Way::Everywhere => 1,
            Way::Random => {
                // xorshift64
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                1 + i32::try_from((self.random >> 32) % 13).unwrap_or(0)
            }
        }
    }

    fn suspended(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes.max(1));
    }
}

/// The exports through which an instance is driven.
#[derive(Clone, Copy)]
pub(crate) struct Driver {
    frames: Memory,
    pos: Global,
    state: Global,
    counter: Global,
}

/// The two functions that drive an export.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) call: Func,
    pub(crate) resume: Func,
}

/// An export that may suspend.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) driver: Driver,
    pub(crate) pair: Pair,
}

impl Driver {
    /// Finds the exports, and fills the frame memory.
    pub(crate) fn new(store: &mut Store<Host>, instance: Instance) -> Result<Self> {
        let missing = |name| Error::msg(format!("no export `asyncify:{name}`"));
        let frames =
            instance.get_memory(&mut *store, "asyncify:frames").ok_or_else(|| missing("frames"))?;
        let mut global = |name| {
            let found = instance.get_global(&mut *store, &format!("asyncify:{name}"));
            found.ok_or_else(|| missing(name))
        };
        let driver = Self {
            frames,
            pos: global("pos")?,
            state: global("state")?,
            counter: global("yield")?,
        };
        let pos = driver.pos(&mut store.as_context_mut());
        if let Some(free) = frames.data_mut(&mut *store).get_mut(pos..) {
            free.fill(FILL);
        }
        store.data_mut().drivers.push(driver);
        Ok(driver)
    }

    fn pos(&self, store: &mut StoreContextMut<'_, Host>) -> usize {
        address(&self.pos.get(store))
    }

    /// What the host does after a trap.
    fn reset(&self, store: &mut StoreContextMut<'_, Host>, pos: &Val) -> Result<()> {
        self.pos.set(&mut *store, *pos)?;
        self.state.set(&mut *store, Val::I32(0))?;
        self.frames.write(&mut *store, 0, &[0; 4])?;
        Ok(())
    }
}

/// An `i32` as an address.
fn address(value: &Val) -> usize {
    value.i32().map_or(usize::MAX, |value| value.cast_unsigned() as usize)
}

/// Tells the guest that its call of this host function is pending, where the plan is so.
pub(crate) fn pend(caller: &mut Caller<'_, Host>) {
    let host = caller.data();
    let Some(driven) = host.driven else { return };
    if host.plan.way != Way::Imports || host.nested || !host.plan.may_suspend() {
        return;
    }
    // Only the instance that is driven can suspend: no other has its frames below.
    if let Some(Extern::Memory(frames)) = caller.get_export("asyncify:frames")
        && frames.data_ptr(&*caller) == driven.frames.data_ptr(&*caller)
    {
        let written = frames.write(caller.as_context_mut(), 0, &1_i32.to_le_bytes());
        if written.is_err() {
            caller.data_mut().faults.push("the frame memory has no first word".to_owned());
        }
    }
}

/// Calls an export and resumes it until it ends. Inside another driven call nothing suspends.
pub(crate) fn drive(
    mut store: StoreContextMut<'_, Host>,
    target: Target,
    args: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let outer = (store.data().driven, store.data().nested);
    let nested = outer.0.is_some();
    let mut counters = Vec::new();
    if nested {
        for driver in store.data().drivers.clone() {
            counters.push((driver.counter, driver.counter.get(&mut store)));
            driver.counter.set(&mut store, Val::I32(0))?;
        }
    }
    store.data_mut().driven = Some(target.driver);
    store.data_mut().nested = nested;
    let before = target.driver.pos.get(&mut store);
    let ended = run(&mut store, target, args, results, nested);
    if ended.is_err() {
        target.driver.reset(&mut store, &before)?;
    } else {
        check_rest(&mut store, target.driver, &before);
    }
    target.driver.counter.set(&mut store, Val::I32(0))?;
    (store.data_mut().driven, store.data_mut().nested) = outer;
    for (counter, value) in counters {
        counter.set(&mut store, value)?;
    }
    ended
}

/// Between calls an instance is as it was.
fn check_rest(store: &mut StoreContextMut<'_, Host>, driver: Driver, before: &Val) {
    let (pos, before) = (driver.pos(store), address(before));
    if pos != before {
        let fault = format!("`asyncify:pos` was {before} before the call and is {pos} after it");
        store.data_mut().faults.push(fault);
    }
    check_state(store, driver);
}

fn check_state(store: &mut StoreContextMut<'_, Host>, driver: Driver) {
    let state = driver.state.get(&mut *store).i32();
    if state != Some(0) {
        store.data_mut().faults.push(format!("`asyncify:state` is {state:?} at rest"));
    }
}

fn run(
    store: &mut StoreContextMut<'_, Host>,
    target: Target,
    args: &[Val],
    results: &mut [Val],
    nested: bool,
) -> Result<()> {
    let Target { driver, pair } = target;
    let mut out = vec![Val::I32(0); results.len() + 1];
    wind_up(store, driver, nested)?;
    pair.call.call(&mut *store, args, &mut out)?;
    // Behind this the frame memory holds what it was filled with.
    let mut high = 0;
    loop {
        let end = address(&out[results.len()]);
        if end == 0 {
            results.copy_from_slice(&out[..results.len()]);
            return Ok(());
        }
        store.data_mut().suspensions += 1;
        check_state(store, driver);
        let pos = driver.pos(store);
        let (frames, host) = driver.frames.data_and_store_mut(&mut *store);
        let size = frames.len();
        let Some(parked) = frames.get_mut(pos..end) else {
            return Err(Error::msg(format!("parked at {pos}..{end} in a memory of {size}")));
        };
        let bytes = parked.to_vec();
        high = high.max(end);
        frames[pos..high].fill(FILL);
        host.plan.suspended(bytes.len());
        // Here a host would do other things; then the call goes on.
        let pos = driver.pos(store);
        driver.frames.write(&mut *store, pos, &bytes)?;
        wind_up(store, driver, nested)?;
        let end = u32::try_from(pos + bytes.len())?.cast_signed();
        let answer = [Val::I32(end), Val::I64(CANARY)];
        pair.resume.call(&mut *store, &answer, &mut out)?;
    }
}

/// Writes the yield counter.
fn wind_up(store: &mut StoreContextMut<'_, Host>, driver: Driver, nested: bool) -> Result<()> {
    let value = if nested { 0 } else { store.data_mut().plan.counter() };
    driver.counter.set(store, Val::I32(value))
}
