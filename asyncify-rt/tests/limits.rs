//! What calls may hold: each limit ends the call that crosses it, by name, and no other. And the
//! counts that tell.

mod flight;

use std::sync::Arc;

use asyncify_rt::private::{Direct, ParamInfo, Ref};
use asyncify_rt::{
    AsyncImports, Builder, Call, Error, Guest, ImportInfo, Imports, Limits, Module, Place, Result,
    StackPolicy,
};
use flight::answers::{recurse, sum};
use flight::{Gates, block_on, i32, poll, stack_guest, stack_pointer, w};
use wasmtime::{Engine, StoreLimitsBuilder, Val};

const POLICIES: [StackPolicy; 2] = [StackPolicy::Separate, StackPolicy::Copied];

struct Rig {
    guest: Guest,
    gates: Gates,
    module: Module,
}

fn rig(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Rig {
    let (guest, gates) = stack_guest(configure);
    Rig { guest, gates, module: flight::module(&Engine::default(), "stack.wasm") }
}

impl Rig {
    fn call(&self, name: &str, args: [u32; 2]) -> Call<Vec<Val>> {
        self.guest.all_exports().function(name).unwrap().call(args.map(i32))
    }

    fn parked(&self, name: &str, args: [u32; 2]) -> Call<Vec<Val>> {
        let mut call = self.call(name, args);
        assert!(poll(&mut call).is_pending());
        call
    }

    fn end(&self, mut call: Call<Vec<Val>>) -> Result<u32> {
        loop {
            if let std::task::Poll::Ready(answer) = poll(&mut call) {
                return answer.map(|answer| answer[0].unwrap_i32().cast_unsigned());
            }
            if let Some(id) = self.gates.waiting().last() {
                self.gates.open(*id);
            }
        }
    }

    fn recurse(&self, depth: u32) -> Result<u32> {
        let answer = self.end(self.call("recurse", [depth, 3]))?;
        assert_eq!(answer, recurse(depth, 3, &mut w));
        Ok(answer)
    }
}

fn limit(error: &Error) -> (&str, &str, u64) {
    match error {
        Error::Limit { function, what, limit } => (function, what, *limit),
        other => panic!("{other}"),
    }
}

#[test]
fn parked_calls() {
    for policy in POLICIES {
        let limits = Limits::default().parked_calls(2);
        let rig = rig(|builder| builder.stack_policy(policy).limits(limits));
        let base = stack_pointer(&rig.guest, &rig.module);
        let first = rig.parked("sum", [1, 1]);
        let second = rig.parked("sum", [2, 1]);
        for _ in 0..3 {
            let error = rig.recurse(5).unwrap_err();
            assert_eq!(limit(&error), ("recurse", "parked calls", 2));
        }
        assert_eq!(rig.end(first).unwrap(), sum(1, 1, &mut w));
        rig.recurse(5).unwrap();
        assert_eq!(rig.end(second).unwrap(), sum(2, 1, &mut w));
        assert_eq!(stack_pointer(&rig.guest, &rig.module), base);
    }
}

#[test]
fn parked_bytes() {
    for policy in POLICIES {
        let limits = Limits::default().parked_bytes(2_000);
        let rig = rig(|builder| builder.stack_policy(policy).limits(limits));
        let base = stack_pointer(&rig.guest, &rig.module);
        let first = rig.parked("recurse", [5, 3]);
        let second = rig.parked("recurse", [5, 4]);
        for _ in 0..3 {
            let error = rig.recurse(300).unwrap_err();
            assert_eq!(limit(&error), ("recurse", "bytes of parked calls", 2_000));
            // Twice as many at once as before: no region was given to two of them.
            let others: Vec<_> = (0..4).map(|tag| (tag, rig.parked("recurse", [2, tag]))).collect();
            for (tag, call) in others {
                assert_eq!(rig.end(call).unwrap(), recurse(2, tag, &mut w));
            }
        }
        assert!(!block_on(rig.guest.is_poisoned()).unwrap());
        assert_eq!(rig.end(first).unwrap(), recurse(5, 3, &mut w));
        assert_eq!(rig.end(second).unwrap(), recurse(5, 4, &mut w));
        assert_eq!(block_on(rig.guest.stats()).unwrap().parked_bytes, 0);
        assert_eq!(stack_pointer(&rig.guest, &rig.module), base);
    }
}

#[test]
fn suspensions_of_one_call() {
    let rig = rig(|builder| builder.limits(Limits::default().suspensions_per_call(6)));
    assert_eq!(rig.end(rig.call("sum", [1, 3])).unwrap(), sum(1, 3, &mut w));
    let error = rig.end(rig.call("sum", [1, 4])).unwrap_err();
    assert_eq!(limit(&error), ("sum", "suspensions of one call", 6));
    assert_eq!(
        error.to_string(),
        "`sum` reached the limit of 6 suspensions of one call; raise it with `Builder::limits`"
    );
    assert_eq!(rig.end(rig.call("sum", [1, 3])).unwrap(), sum(1, 3, &mut w));
}

/// How many bytes a recursion of this depth takes in the window.
fn frames_of(depth: u32) -> u64 {
    let rig = rig(|builder| builder);
    rig.recurse(depth).unwrap();
    block_on(rig.guest.stats()).unwrap().most_window_bytes
}

#[test]
fn bytes_of_the_window() {
    let needed = frames_of(50);
    let limits = Limits::default().window_bytes(needed - 1);
    let rig = rig(|builder| builder.window_size(needed / 2).limits(limits));
    let parked = rig.parked("sum", [1, 1]);
    // It grows up to its limit when a call has needed more than there was.
    rig.recurse(30).unwrap();
    rig.recurse(49).unwrap();
    let error = rig.recurse(50).unwrap_err();
    assert_eq!(limit(&error), ("recurse", "bytes of the window", needed - 1));
    // What it wrote lay behind the window, where nothing of the guest's is.
    assert!(!block_on(rig.guest.is_poisoned()).unwrap());
    assert!(block_on(rig.guest.stats()).unwrap().window_bytes < needed);
    assert_eq!(rig.end(parked).unwrap(), sum(1, 1, &mut w));
    rig.recurse(49).unwrap();
}

#[test]
fn a_window_that_is_overrun() {
    // The guest's own stack lies there, of which this uses the upper end.
    let low = Place::Range(1_024..2_048);
    let rig = rig(|builder| builder.place(low).window_size(100).no_stack_pointer());
    let error = rig.recurse(50).unwrap_err();
    let Error::WindowTooSmall { function, needed, size: 100, poisoned: true } = &error else {
        panic!("{error}")
    };
    assert!(function == "recurse" && *needed > 200, "{error}");
    assert!(block_on(rig.guest.is_poisoned()).unwrap());
}

/// A window at the memory's end runs into nothing.
#[test]
fn a_window_that_runs_out_of_the_memory() {
    let (engine, gates) = (Engine::default(), Gates::default());
    let builder = Guest::builder(&flight::module(&engine, "values.wasm"));
    let builder = builder.async_imports(flight::values_imports(&engine, &gates));
    let builder = builder.place(Place::Grow).window_size(100);
    let guest = block_on(builder.instantiate()).unwrap();
    let deep = guest.all_exports().typed::<(u32,), (f64,)>("deep").unwrap();
    let mut parked = deep.call((2,));
    assert!(poll(&mut parked).is_pending());
    let error = block_on(deep.call((3_000,))).unwrap_err();
    let Error::WindowTooSmall { poisoned: false, .. } = &error else { panic!("{error}") };
    gates.open_all();
    block_on(parked).unwrap();
    // The next one gets a larger window, as it was told.
    block_on(deep.call((3_000,))).unwrap();
}

#[test]
fn a_window_larger_than_its_limit_is_told_at_once() {
    let engine = Engine::default();
    let limits = Limits::default().window_bytes(1_000);
    let builder = || {
        Guest::builder(&flight::module(&engine, "stack.wasm"))
            .async_imports(flight::waits(&engine, &Gates::default()))
    };
    for builder in
        [builder().window_size(2_000).limits(limits), builder().limits(limits).window_size(2_000)]
    {
        let error = block_on(builder.instantiate()).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "a window of 2000 bytes is larger than its limit of 1000; raise that with `Limits::window_bytes`"
        );
    }
    block_on(builder().limits(limits).window_size(1_000).instantiate()).unwrap();
}

#[test]
fn the_window_that_nobody_set_is_no_larger_than_its_limit() {
    let rig = rig(|builder| builder.limits(Limits::default().window_bytes(1_000)));
    rig.recurse(3).unwrap();
    assert_eq!(block_on(rig.guest.stats()).unwrap().window_bytes, 1_000);
}

#[test]
fn a_window_that_cannot_grow_stays() {
    let pages = block_on(rig(|builder| builder).guest.with(|cx| cx.memory().len())).unwrap();
    let one_more = StoreLimitsBuilder::new().memory_size(pages + (64 << 10)).build();
    let rig = rig(|builder| {
        let builder = builder.stack_policy(StackPolicy::Copied).window_size(500);
        builder.store_limits(one_more)
    });
    let parked = rig.parked("recurse", [3, 3]);
    // Into what lies behind the window. The next one wants a larger window, and there is none.
    rig.recurse(70).unwrap();
    let size = block_on(rig.guest.stats()).unwrap().window_bytes;
    assert_eq!(rig.end(parked).unwrap(), recurse(3, 3, &mut w));
    rig.recurse(3).unwrap();
    rig.recurse(70).unwrap();
    assert_eq!(block_on(rig.guest.stats()).unwrap().window_bytes, size);
}

#[test]
fn no_room_for_a_window() {
    let pages = block_on(rig(|builder| builder).guest.with(|cx| cx.memory().len())).unwrap();
    let none = StoreLimitsBuilder::new().memory_size(pages).build();
    let rig = rig(|builder| builder.store_limits(none));
    let error = rig.recurse(3).unwrap_err();
    assert!(matches!(error, Error::NoRoom { what: "the window", .. }), "{error}");
    let plain = rig.guest.with(|cx| cx.call::<(u32, u32), u32>("plain_sum", (1, 3)));
    assert_eq!(block_on(plain).unwrap().unwrap(), 3);
}

#[test]
fn stats_count_everything() {
    let rig = rig(|builder| builder.window_size(4_000).region_size(16 << 10));
    assert_eq!(block_on(rig.guest.stats()).unwrap(), asyncify_rt::Stats::default());
    let calls: Vec<_> = (1..=5).map(|depth| rig.parked("recurse", [depth, 3])).collect();
    let parked = rig.guest.try_stats().unwrap();
    assert_eq!((parked.parked_calls, parked.most_parked_calls, parked.suspensions), (5, 5, 5));
    assert_eq!(parked.parked_bytes, parked.most_parked_bytes);
    // One call is on the guest's own stack. Four regions make a page.
    assert_eq!((parked.regions, parked.most_regions_in_use), (4, 4));
    assert_eq!(parked.window_bytes, 4_000);
    for call in calls {
        rig.end(call).unwrap();
    }
    rig.end(rig.call("sum", [1, 1])).unwrap();
    let after = block_on(rig.guest.stats()).unwrap();
    assert_eq!((after.parked_calls, after.parked_bytes), (0, 0));
    assert_eq!((after.most_parked_calls, after.suspensions), (5, 7));
    assert_eq!(after.most_parked_bytes, parked.most_parked_bytes);
    assert!(after.most_window_bytes > 0 && after.most_window_bytes < after.most_parked_bytes);
}

/// Waits for ever with the bytes that it was passed.
struct Keeps;

const BYTES: ImportInfo = ImportInfo::new::<Direct, u32>(
    "env",
    "bytes",
    true,
    &[ParamInfo::by_ref::<[u8]>("bytes", "&[u8]")],
    "u32",
    "",
);

impl Imports for Keeps {
    const IMPORTS: &'static [ImportInfo] = &[BYTES];

    fn register<T: Send + 'static>(host: Arc<Self>, imports: &mut AsyncImports<T>) {
        imports.suspending::<(Ref<[u8]>, ()), Direct, u32, _, _, _>(
            &BYTES,
            &host,
            |host, (bytes, ())| async move {
                std::future::pending::<()>().await;
                (host, u32::from(bytes[0]), ((), ()))
            },
        );
    }
}

#[test]
fn what_imports_were_passed_is_counted_and_limited() {
    const KIB: u64 = 1 << 10;
    let module = flight::module(&Engine::default(), "bench.wasm");
    let builder = Guest::builder(&module).imports(Keeps).trap_unknown_imports();
    let builder = builder.limits(Limits::default().parked_bytes(1_000 * KIB));
    let guest = block_on(builder.instantiate()).unwrap();
    let bytes = guest.all_exports().typed::<(u32, u32), (u32,)>("bytes").unwrap();
    let mut parked: Vec<_> = (0..9).map(|_| bytes.call((1, 100 << 10))).collect();
    assert!(parked.iter_mut().all(|call| poll(call).is_pending()));
    let held = guest.try_stats().unwrap().parked_bytes;
    assert!((900 * KIB..901 * KIB).contains(&held), "{held}");
    // The tenth would hold no more than the limit, but for the frames of the others.
    let error = block_on(bytes.call((1, 100 << 10))).unwrap_err();
    assert_eq!(limit(&error), ("env.bytes", "bytes of parked calls", 1_000 * KIB));
    parked.truncate(4);
    let held = guest.try_stats().unwrap().parked_bytes;
    assert!((400 * KIB..401 * KIB).contains(&held), "{held}");
    assert!(poll(&mut bytes.call((1, 100 << 10))).is_pending());
    drop(parked);
    assert_eq!(guest.try_stats().unwrap().parked_bytes, 0);
}
