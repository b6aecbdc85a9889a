//! Where parked calls keep their part of the guest's stack.

mod flight;

use asyncify_rt::{Builder, Call, Error, Guest, Place, StackPolicy};
use flight::answers::{recurse, sum};
use flight::{Gates, block_on, i32, poll, stack_guest, w};
use wasmtime::{Engine, Val};

fn start(guest: &Guest, name: &str, args: &[u32]) -> Call<Vec<Val>> {
    let args: Vec<_> = args.iter().copied().map(i32).collect();
    guest.all_exports().function(name).unwrap().call(args)
}

fn parked(guest: &Guest, name: &str, args: &[u32]) -> Call<Vec<Val>> {
    let mut call = start(guest, name, args);
    assert!(poll(&mut call).is_pending());
    call
}

fn answer(call: Call<Vec<Val>>) -> u32 {
    block_on(call).unwrap()[0].unwrap_i32().cast_unsigned()
}

fn number(guest: &Guest, name: &str) -> u32 {
    block_on(guest.with(|cx| cx.call::<(), u32>(name, ()))).unwrap().unwrap()
}

/// The guest links a node in each call's frame into one list, and takes it out when that call goes
/// on: frames must stay where they are.
#[test]
fn a_list_through_the_frames_of_parked_calls() {
    for file in ["stack.wasm", "stack-libc.wasm"] {
        let (engine, gates) = (Engine::default(), Gates::default());
        let builder = Guest::builder(&flight::module(&engine, file));
        let builder = builder.async_imports(flight::waits(&engine, &gates));
        let place = if file == "stack.wasm" { Place::Grow } else { Place::Auto };
        let builder = builder.stack_policy(StackPolicy::Separate).place(place);
        let guest = block_on(builder.region_size(4 << 10).instantiate()).unwrap();
        let mut queue: Vec<_> =
            (0..60).map(|value| (value, parked(&guest, "enqueue_and_wait", &[value]))).collect();
        assert_eq!(number(&guest, "list_len"), 60);
        assert_eq!(number(&guest, "list_sum"), (0..60).sum());
        gates.open_all();
        let mut turn = 0;
        while !queue.is_empty() {
            turn += 17;
            let (value, call) = queue.swap_remove(turn % queue.len());
            assert_eq!(answer(call), value * 31 + w(value));
            let left: u32 = queue.iter().map(|(value, _)| value).sum();
            assert_eq!(
                (number(&guest, "list_len"), number(&guest, "list_sum")),
                (u32::try_from(queue.len()).unwrap(), left)
            );
        }
    }
}

#[test]
fn regions_are_pooled() {
    let (guest, _gates) = stack_guest(|builder| builder);
    for round in 0..4 {
        let calls: Vec<_> = (0..10).map(|seed| parked(&guest, "sum", &[seed, 1])).collect();
        let stats = block_on(guest.stats()).unwrap();
        assert_eq!((stats.regions, stats.most_regions_in_use), (9, 9), "round {round}");
        drop(calls);
    }
}

fn memory(guest: &Guest) -> usize {
    block_on(guest.with(|cx| cx.memory().len())).unwrap()
}

/// What the memory grows by for eight more calls that are parked at once.
fn grown_by(file: &str, configure: impl FnOnce(Builder<()>) -> Builder<()>) -> usize {
    let (engine, gates) = (Engine::default(), Gates::default());
    let builder = Guest::builder(&flight::module(&engine, file)).place(Place::Grow);
    let builder = builder.async_imports(flight::waits(&engine, &gates));
    let guest = block_on(configure(builder).instantiate()).unwrap();
    let first = parked(&guest, "sum", &[1, 1]);
    let before = memory(&guest);
    let others: Vec<_> = (0..8).map(|seed| parked(&guest, "sum", &[seed, 1])).collect();
    let grown = memory(&guest) - before;
    gates.open_all();
    assert_eq!(answer(first), sum(1, 1, &mut w));
    for (seed, call) in (0..).zip(others) {
        assert_eq!(answer(call), sum(seed, 1, &mut w));
    }
    grown
}

#[test]
fn sizes_of_regions() {
    // As large as the guest's own stack, but 1 MiB at most: this one's has 16.
    assert_eq!(grown_by("stack.wasm", |builder| builder), 8 * (64 << 10));
    assert_eq!(grown_by("stack-libc.wasm", |builder| builder), 8 * (1 << 20));
    assert_eq!(grown_by("stack.wasm", |builder| builder.region_size(200_000)), 8 * (256 << 10));
    // Several share a page.
    assert_eq!(grown_by("stack.wasm", |builder| builder.region_size(8 << 10)), 64 << 10);
    let copied = |builder: Builder<()>| builder.stack_policy(StackPolicy::Copied);
    assert_eq!(grown_by("stack.wasm", copied), 0);
}

#[test]
fn regions_from_a_range() {
    let (guest, gates) = stack_guest(|builder| {
        // The guest's own stack is 64 KiB, and it uses the lower end of that for nothing here.
        builder.place(Place::Range(1_024..40_000)).window_size(4_000).region_size(8 << 10)
    });
    // Three regions of 8 KiB, and one of what is left.
    let calls: Vec<_> = (0..5).map(|seed| parked(&guest, "sum", &[seed, 1])).collect();
    let error = block_on(start(&guest, "sum", &[9, 1])).unwrap_err();
    assert!(matches!(error, Error::NoRoom { what: "a shadow stack region", .. }), "{error}");
    gates.open_all();
    for (seed, call) in (0..).zip(calls) {
        assert_eq!(answer(call), sum(seed, 1, &mut w));
    }
    assert_eq!(answer(start(&guest, "sum", &[9, 1])), sum(9, 1, &mut w));
}

fn overflow(error: &Error) -> (&str, u64, bool) {
    match error {
        Error::ShadowStackOverflow { function, needed, size, in_region, .. } => {
            assert!(needed > size, "{error}");
            (function, *size, *in_region)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_call_that_would_overrun_its_region_ends_alone() {
    let (guest, gates) = stack_guest(|builder| builder.region_size(2 << 10));
    let first = parked(&guest, "recurse", &[100, 3]);
    // This one fits.
    let second = parked(&guest, "recurse", &[20, 3]);
    for name in ["recurse", "expected_recurse"] {
        let error = block_on(start(&guest, name, &[300, 3])).unwrap_err();
        assert_eq!(overflow(&error), (name, 2 << 10, true));
        assert!(!block_on(guest.is_poisoned()).unwrap());
    }
    let fits = answer(start(&guest, "expected_recurse", &[20, 3]));
    assert_eq!(fits, recurse(20, 3, &mut w));
    gates.open_all();
    assert_eq!(answer(first), recurse(100, 3, &mut w));
    assert_eq!(answer(second), recurse(20, 3, &mut w));
}

#[test]
fn a_call_that_would_overrun_the_guests_own_stack_ends_alone() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let (guest, gates) = stack_guest(|builder| builder.stack_policy(policy));
        let error = block_on(start(&guest, "expected_recurse", &[100_000, 3])).unwrap_err();
        assert_eq!(overflow(&error), ("expected_recurse", 64 << 10, false));
        let call = parked(&guest, "recurse", &[20, 3]);
        gates.open_all();
        assert_eq!(answer(call), recurse(20, 3, &mut w));
    }
}

/// No region is as long as the frames that the guest's own stack has room for.
#[test]
fn a_copied_stack_is_as_deep_as_the_guests_own() {
    let (guest, gates) = stack_guest(|builder| builder.stack_policy(StackPolicy::Copied));
    let calls: Vec<_> = (0..8).map(|tag| parked(&guest, "recurse", &[1_000, tag])).collect();
    gates.open_all();
    for (tag, call) in (0..).zip(calls) {
        assert_eq!(answer(call), recurse(1_000, tag, &mut w));
    }
}
