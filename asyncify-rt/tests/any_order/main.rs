//! Random programs of calls that start, go on, end and are cancelled in any order, against a model.

#[path = "../flight/mod.rs"]
mod flight;
mod kinds;
mod world;

use asyncify_rt::{Guest, GuestCx, Place, StackPointer, StackPolicy};
use proptest::prelude::*;

use flight::answers::plain_sum;
use flight::{Gates, block_on, stack_pointer};
use kinds::{Kind, MARSHAL, STACK, STACK_AND_QUEUE, VALUES, YIELDING, imports, kind};
use world::{Op, World, op};

fn check(kind: &Kind, policy: StackPolicy, ops: &[Op]) {
    let gates = Gates::default();
    let builder = Guest::builder(&kind.module).async_imports(imports(&gates));
    let regions = policy == StackPolicy::Separate && kind.needs_place();
    let builder = builder.trap_unknown_imports().stack_policy(policy);
    let builder = builder.place(if regions { Place::Grow } else { Place::Auto });
    let guest = block_on(builder.instantiate()).unwrap();
    let base = stack_pointer(&guest, &kind.module);
    let mut world = World::new(kind, guest, gates);
    for op in ops {
        world.run(*op);
    }
    let mut turn = 0;
    while !world.flying.is_empty() {
        turn += 7;
        world.run(Op::Complete(turn));
    }
    let stats = block_on(world.guest.stats()).unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    assert!(stats.most_regions_in_use <= world.most);
    assert!(!block_on(world.guest.is_poisoned()).unwrap());
    assert_eq!(stack_pointer(&world.guest, &kind.module), base);
}

fn programs(kind: &Kind, policies: &[StackPolicy]) {
    let config = ProptestConfig {
        cases: 48,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    for policy in policies {
        let mut runner = proptest::test_runner::TestRunner::new(config.clone());
        let ops = proptest::collection::vec(op(), 1..80);
        let result = runner.run(&ops, |ops| {
            check(kind, *policy, &ops);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{policy:?}: {error}");
        }
    }
}

const POLICIES: [StackPolicy; 2] = [StackPolicy::Separate, StackPolicy::Copied];

fn sums(cx: &mut GuestCx<'_, ()>, a: u32, b: u32) {
    assert_eq!(cx.call::<(u32, u32), u32>("plain_sum", (a, b)).unwrap(), plain_sum(a, b));
}

#[test]
fn frames_on_the_shadow_stack() {
    programs(&kind("stack.wasm", STACK_AND_QUEUE, sums), &[StackPolicy::Separate]);
    programs(&kind("stack.wasm", STACK, sums), &[StackPolicy::Copied]);
}

#[test]
fn frames_on_a_large_shadow_stack_and_a_heap() {
    programs(&kind("stack-libc.wasm", STACK_AND_QUEUE, sums), &[StackPolicy::Separate]);
    programs(&kind("stack-libc.wasm", STACK, sums), &[StackPolicy::Copied]);
}

#[test]
fn no_shadow_stack() {
    let values = kind("values.wasm", VALUES, |cx, _, b| {
        let pages = cx.call::<(), u32>("pages", ()).unwrap();
        assert_eq!(cx.call::<u32, u32>("grow", b % 2).unwrap(), pages);
    });
    assert_eq!(*values.module.findings().stack_pointer(), StackPointer::Absent);
    programs(&values, &POLICIES);
    let yielding = kind("yielding.wasm", YIELDING, |cx, _, _| cx.call("nop", ()).unwrap());
    assert_eq!(*yielding.module.findings().stack_pointer(), StackPointer::Absent);
    programs(&yielding, &POLICIES);
}

#[test]
fn an_allocator_of_its_own() {
    let marshal = kind("marshal.wasm", MARSHAL, |cx, a, b| {
        let at = cx.call::<u32, u32>("malloc", b).unwrap();
        cx.call::<u32, ()>("free", at).unwrap();
        assert_eq!(cx.call::<(u32, u32), u32>("sum_bytes", (a % 1_000, 0)).unwrap(), 0);
    });
    programs(&marshal, &POLICIES);
}
