//! A hundred thousand cancelled calls leave nothing behind, on the host or in the guest. The only
//! test of its binary: it counts every byte that the process allocates.

mod flight;

use std::alloc::System;

use asyncify_rt::{Guest, Module, Place, StackPolicy, Stats};
use cap::Cap;
use flight::{Gates, block_on, i32, poll, stack_pointer};
use wasmtime::{Engine, Extern};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What a guest holds: on the host, in its memory, on its stack.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    host: usize,
    allocations: u32,
    memory: usize,
    stack_pointer: Option<u32>,
    regions: usize,
    window: u64,
}

fn held(guest: &Guest, module: &Module) -> Held {
    let (allocations, memory) = block_on(guest.with(|cx| {
        let counts = matches!(cx.export("live_allocations"), Some(Extern::Func(_)));
        let count = if counts { cx.call::<(), u32>("live_allocations", ()).unwrap() } else { 0 };
        (count, cx.memory().len())
    }))
    .unwrap();
    let Stats { parked_calls, parked_bytes, regions, window_bytes, .. } =
        block_on(guest.stats()).unwrap();
    assert_eq!((parked_calls, parked_bytes), (0, 0));
    let stack_pointer = stack_pointer(guest, module);
    let host = ALLOCATOR.allocated();
    Held { host, allocations, memory, stack_pointer, regions, window: window_bytes }
}

/// Cancels so many calls, of which up to `at_once` are parked at the same time.
fn cancel(guest: &Guest, gates: &Gates, function: &str, calls: u32, at_once: u32) {
    let function = guest.all_exports().function(function).unwrap();
    let args = function.ty().params().len();
    let before = gates.dropped();
    let mut parked = Vec::new();
    for call in 0..calls {
        let mut fresh = function.call(vec![i32(call % 7 + 1); args]);
        assert!(poll(&mut fresh).is_pending());
        parked.push(fresh);
        if parked.len() == at_once as usize {
            // Neither in the order in which they started, nor in the opposite one.
            while !parked.is_empty() {
                drop(parked.swap_remove(parked.len() / 2));
            }
        }
    }
    drop(parked);
    assert_eq!(gates.dropped() - before, calls as usize);
}

fn leaves_nothing(file: &str, function: &str, policy: StackPolicy, calls: u32) {
    let engine = Engine::default();
    let module = flight::module(&engine, file);
    let gates = Gates::default();
    let mut imports = flight::waits(&engine, &gates);
    let waiting = gates.clone();
    flight::unary(&engine, &mut imports, "echo_u32", move |tag| {
        let gate = waiting.wait();
        asyncify_rt::ImportResult::wait(async move {
            gate.await;
            Ok(vec![i32(tag)])
        })
    });
    let builder = Guest::builder(&module).async_imports(imports).stack_policy(policy);
    let place = match (module.findings().allocator(), policy) {
        (None, StackPolicy::Separate) => Place::Grow,
        _ => Place::Auto,
    };
    let guest = block_on(builder.trap_unknown_imports().place(place).instantiate()).unwrap();
    // Whatever is made once is made by now: the window, regions, tables.
    cancel(&guest, &gates, function, 200, 50);
    let before = held(&guest, &module);
    cancel(&guest, &gates, function, calls, 50);
    let mut after = held(&guest, &module);
    // The engine's own threads take and give back a block now and then; a byte for each call
    // would be far more.
    assert!(after.host < before.host + (16 << 10), "{file}, {policy:?}: {after:?}, {before:?}");
    after.host = before.host;
    assert_eq!(after, before, "{file}, {policy:?}");
}

#[test]
fn cancelled_calls_leave_nothing() {
    leaves_nothing("stack.wasm", "sum", StackPolicy::Separate, 100_000);
    leaves_nothing("stack.wasm", "sum", StackPolicy::Copied, 100_000);
    leaves_nothing("marshal.wasm", "call_echo_u32", StackPolicy::Separate, 20_000);
    leaves_nothing("values.wasm", "operands", StackPolicy::Separate, 20_000);
}
