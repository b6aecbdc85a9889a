//! Functions that were not instrumented, in the middle of the stack: found when a call suspends.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncify_rt::{Builder, Error, Guest, StackPolicy};
use wasmtime::{Config, Engine};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, example, fails, module, park, ran,
    yielding_wait,
};

/// `outer(x)`: `effect(run(effect(x)))`, and was left out by the pass.
const OUTER: &str = r#"
    (import "host" "effect" (func $effect (param i32) (result i32)))
    (func $outer (export "outer") (param i32) (result i32)
      (call $effect (call $run (call $effect (local.get 0)))))"#;

/// `host.effect` is linked by hand: it counts.
fn guest(
    desk: &Desk,
    configure: impl FnOnce(Builder<()>) -> Builder<()>,
) -> (Guest, Arc<AtomicUsize>) {
    let engine = Engine::default();
    let (import, rest) = OUTER.trim().split_once('\n').unwrap();
    let module = module(&engine, &format!("{WAIT} {import} (memory 1) {RUN} {rest}"));
    let effects = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&effects);
    let effect = move |x: i32| {
        count.fetch_add(1, Ordering::SeqCst);
        x
    };
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.link(|linker| linker.func_wrap("host", "effect", effect).map(drop));
    (block_on(configure(builder).instantiate()).unwrap(), effects)
}

#[test]
fn a_frame_that_was_left_out_is_told_before_anything_goes_wrong() {
    let desk = Desk::new();
    let (guest, effects) = guest(&desk, Builder::check_frames);
    assert_error!(
        fails(&mut call(&guest, "outer", 5)),
        Error::UninstrumentedCaller { import, functions, wasm_opt_args }
            if import == "env.wait" && *functions == ["outer"]
            && wasm_opt_args == "--pass-arg=asyncify-imports@env.wait",
        "import `env.wait` suspends, but `outer` calls it without having been instrumented for that: a suspension there would give wrong answers; instrument the original module with --pass-arg=asyncify-imports@env.wait"
    );
    assert_eq!(effects.load(Ordering::SeqCst), 1, "the one before it waits");
    assert_eq!((desk.asked(), desk.dropped()), (vec![5], 1));
    assert!(!block_on(guest.is_poisoned()).unwrap());
    // It does no harm where the import is ready at once.
    desk.answer(6);
    assert_eq!(ends(&mut call(&guest, "outer", 6)), (ran(6),));
    let mut run = call(&guest, "run", 7);
    park(&mut run);
    desk.answer(7);
    assert_eq!(ends(&mut run), (ran(7),));
}

/// Why there is such a check: nothing else tells.
#[test]
fn what_is_linked_by_hand_runs_while_the_guest_unwinds_and_rewinds() {
    let desk = Desk::new();
    let (guest, effects) = guest(&desk, |builder| builder);
    let mut outer = call(&guest, "outer", 5);
    park(&mut outer);
    assert_eq!(effects.load(Ordering::SeqCst), 2);
    desk.answer(5);
    assert_eq!(ends(&mut outer), (ran(5),));
    assert_eq!(effects.load(Ordering::SeqCst), 4);
}

#[test]
fn what_binaryen_instrumented_passes() {
    let mut config = Config::new();
    config.wasm_backtrace_max_frames(NonZeroUsize::new(100));
    let engine = Engine::new(&config).unwrap();
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let module = example(&engine, "stack.wasm");
        let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
        let guest = block_on(builder.stack_policy(policy).check_frames().instantiate()).unwrap();
        let recurse = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
        let expected = guest.all_exports().typed::<(u32, u32), (u32,)>("expected_recurse").unwrap();
        let (suspended, plain) = (recurse.call((40, 3)), expected.call((40, 3)));
        assert_eq!(block_on(suspended).unwrap(), block_on(plain).unwrap());
    }
}

#[test]
fn a_stack_that_is_deeper_than_can_be_seen_is_told() {
    let engine = Engine::default();
    let module = example(&engine, "stack.wasm");
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
    let guest = block_on(builder.check_frames().instantiate()).unwrap();
    let recurse = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
    let error = block_on(recurse.call((40, 3))).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error:?}");
    assert!(error.to_string().contains("`env.wait` suspends below 20 frames or more"), "{error}");
}
