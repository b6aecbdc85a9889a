//! Functions that were not instrumented, in the middle of the stack: found when a call suspends.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncify_rt::private::{Direct, Val};
use asyncify_rt::{AsyncImports, Builder, Error, Guest, ImportInfo, ParamInfo, StackPolicy};
use wasmtime::{Config, Engine};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, by_hand, call, ends, example, fails, module, park,
    ran, yielding_wait,
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
    (block_on(configure(builder.trust_instrumentation()).instantiate()).unwrap(), effects)
}

#[test]
fn a_frame_that_was_left_out_is_told_before_anything_goes_wrong() {
    let desk = Desk::new();
    let (guest, effects) = guest(&desk, Builder::check_frames);
    assert_error!(
        fails(&mut call(&guest, "outer", 5)),
        Error::LeftOut { import: Some(import), functions }
            if import == "env.wait" && *functions == ["outer"],
        "`env.wait` suspends, and was reached through `outer`, which cannot be unwound: a list left it out of the instrumentation; instrument the original module without `asyncify-ignore-indirect` and `asyncify-removelist`, or name all such functions in `asyncify-addlist` or `asyncify-onlylist`"
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

/// A guest of `fields`, with nobody's word that it is right.
fn instantiate(desk: &Desk, fields: &str) -> Result<Guest, Error> {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {fields}"));
    block_on(Guest::builder(&module).async_imports(desk.imports(&engine)).instantiate())
}

/// What a list makes of a module, each with the functions that are named.
#[test]
fn a_function_that_a_list_left_out_is_told_when_the_guest_is_linked() {
    const COUNT: &str = "(global $count (mut i32) (i32.const 0))";
    const UP: &str = "(global.set $count (i32.add (global.get $count) (i32.const 1)))";
    for (fields, names) in [
        // It calls an instrumented function.
        (
            "(func $mid (param i32) (result i32) (i32.add (call $run (local.get 0)) (i32.const 7)))",
            &["mid"][..],
        ),
        (
            &format!("{COUNT} (func $mid (param i32) (result i32) {UP} (call $run (local.get 0)))"),
            &["mid"],
        ),
        (
            "(func $a (drop (call $run (i32.const 1)))) (func $b (drop (call $run (i32.const 2))))",
            &["a", "b"],
        ),
        // One was inlined into it.
        (
            &format!(
                "{COUNT} (func $mix (param i32) (result i32) {UP} (if REWINDING (then (local.set 0 (call $pop)))) (local.set 0 (call $wait (local.get 0))) (if UNWINDING (then (call $push (local.get 0)))) (local.get 0))"
            ),
            &["mix"],
        ),
        // And another one is called.
        (
            "(func $mix (param i32) (result i32) (if REWINDING (then (local.set 0 (call $pop)))) (local.set 0 (call $wait (local.get 0))) (if UNWINDING (then (call $push (local.get 0)) (return (i32.const 0)))) (i32.add (call $run (local.get 0)) (i32.const 1)))",
            &["mix"],
        ),
        // It asserts that nothing suspends in it, as `asyncify-asserts` has it.
        (
            "(func $mid (param i32) (result i32) (local i32) (local.set 1 (global.get $state)) (local.set 0 (call $run (local.get 0))) (if (i32.ne (global.get $state) (local.get 1)) (then unreachable)) (local.get 0))",
            &["mid"],
        ),
    ] {
        let error = instantiate(&Desk::new(), fields).unwrap_err();
        assert!(
            matches!(&error, Error::LeftOut { functions, import: None } if functions == names),
            "{error}: {fields}"
        );
    }
    assert_error!(
        instantiate(&Desk::new(), "(func $a (drop (call $run (i32.const 1))))").unwrap_err(),
        Error::LeftOut { .. },
        "`a` calls what is instrumented, and cannot be unwound with it: a suspension there would give wrong answers, as a list left it out of the instrumentation; instrument the original module without `asyncify-ignore-indirect` and `asyncify-removelist`, or name all such functions in `asyncify-addlist` or `asyncify-onlylist`; if nothing that waits is called there, use `Builder::trust_instrumentation`"
    );
    let both =
        "(func $a (drop (call $run (i32.const 1)))) (func $b (drop (call $run (i32.const 2))))";
    let error = instantiate(&Desk::new(), both).unwrap_err().to_string();
    assert!(error.starts_with("`a` and `b` call what is instrumented"), "{error}");
    assert!(error.contains(", as a list left them out of the instrumentation; "), "{error}");
}

/// An optimizer makes one function of some that are alike, and lets each call that.
#[test]
fn a_function_that_only_passes_on_is_unwound_with_what_it_calls() {
    let fields = r#"
        (func $pass (export "pass") (param i32) (result i32) (call $run (local.get 0)))
        (func (export "twice") (param i32) (result i32) (call $pass (local.get 0)))"#;
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {fields}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let guest = block_on(builder.check_frames().instantiate()).unwrap();
    for name in ["pass", "twice"] {
        let mut passes = call(&guest, name, 5);
        park(&mut passes);
        desk.answer(5);
        assert_eq!(ends(&mut passes), (ran(5),));
    }
}

/// `outer` is another instance's, and calls the guest or the import.
#[test]
fn frames_of_another_instance_are_told_before_they_run_twice() {
    let engine = Engine::default();
    let desk = Desk::new();
    let fields = r#"(import "other" "outer" (func $outer (param i32) (result i32))) (memory 1)
        (func (export "through") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (local.set $x (call $pop))))
          (local.set $answer (call $outer (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))"#;
    let module = module(&engine, &format!("{WAIT} {fields} {RUN}"));
    let other = r#"(module $neighbour (import "env" "wait" (func $wait (param i32) (result i32)))
        (global (export "count") (mut i32) (i32.const 0))
        (func $outer (export "outer") (param i32) (result i32)
          (global.set 0 (i32.add (global.get 0) (i32.const 1)))
          (call $wait (local.get 0))))"#;
    let other = wasmtime::Module::new(&engine, wat::parse_str(other).unwrap()).unwrap();
    let count = Arc::new(std::sync::Mutex::new(None));
    let kept = Arc::clone(&count);
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.link_with_store(move |linker, store| {
        let instance = linker.instantiate(&mut *store, &other)?;
        *kept.lock().unwrap() = instance.get_global(&mut *store, "count");
        linker.instance(&mut *store, "other", instance)?;
        Ok(())
    });
    let guest = block_on(builder.instantiate()).unwrap();
    let counted = || {
        let count = count.lock().unwrap().unwrap();
        guest.try_with(|cx| count.get(cx.store().unwrap()).unwrap_i32()).unwrap()
    };
    assert_error!(
        fails(&mut call(&guest, "through", 5)),
        Error::OtherInstance { import, functions, module: Some(module) }
            if import == "env.wait" && *functions == ["outer"] && module == "neighbour",
        "`env.wait` suspends, and was reached through `outer` of another instance, of the module `neighbour` in the guest's store, whose frames cannot be unwound with the guest's; make that instance a guest of its own, and call it from an async import"
    );
    assert_eq!(counted(), 1);
    // What is ready at once unwinds nothing.
    desk.answer(6);
    assert_eq!(ends(&mut call(&guest, "through", 6)).0, crate::common::answer(6));
    assert_eq!(counted(), 2);
    let mut run = call(&guest, "run", 7);
    park(&mut run);
    desk.answer(7);
    assert_eq!(ends(&mut run), (ran(7),));
}

/// A scheduler in the guest: `task` yields by unwinding, and `step` rewinds it.
const SCHEDULER: &str = r#"
    (global $resumed (mut i32) (i32.const 0))
    (func $yield
      (if (global.get $resumed)
        (then (call $stop_rewind) (global.set $resumed (i32.const 0)))
        (else
          (i32.store (i32.const 1024) (i32.const 1040)) (i32.store (i32.const 1028) (i32.const 2048))
          (call $start_unwind (i32.const 1024)))))
    (func $task (param $x i32) (result i32)
      (if REWINDING (then (local.set $x (call $pop))) (else (if (i32.ge_s (local.get $x) (i32.const 100)) (then (local.set $x (call $run (local.get $x)))))))
      (if UNWINDING (then (return (i32.const 0))))
      (call $yield)
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (i32.add (local.get $x) (i32.const 1)))
    (func $step (export "step") (param i32) (result i32)
      (drop (call $task (local.get 0)))
      (call $stop_unwind)
      (global.set $resumed (i32.const 1))
      (call $start_rewind (i32.const 1024))
      (call $task (local.get 0)))
    (func (export "between") (param $x i32) (result i32) (local $first i32)
      (if REWINDING (then (local.set $first (call $pop)))
        (else (local.set $first (call $step (local.get $x)))))
      (local.set $x (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $first)) (return (i32.const 0))))
      (i32.add (local.get $first) (call $step (local.get $x))))"#;

#[test]
fn a_guest_that_drives_asyncify_itself_waits_outside_of_that_alone() {
    let engine = Engine::default();
    let desk = Desk::new();
    let named = ["start_unwind", "stop_unwind", "start_rewind", "stop_rewind"];
    let mut wat = by_hand(&format!("{WAIT} (memory 1) {RUN} {SCHEDULER}"));
    for name in named {
        wat = wat.replace(
            &format!("(func (export \"asyncify_{name}\")"),
            &format!("(func ${name} (export \"asyncify_{name}\")"),
        );
    }
    let module = asyncify_rt::Module::new(&engine, wat).unwrap();
    assert_eq!(module.findings().driving(), ["yield", "step"]);
    assert!(module.findings().uninstrumented().is_empty());
    let guest =
        block_on(Guest::builder(&module).async_imports(desk.imports(&engine)).instantiate())
            .unwrap();
    assert_eq!(ends(&mut call(&guest, "step", 5)), (6,), "its own switches");
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    // Another switch, while that waits, moves the room for frames.
    assert_eq!(ends(&mut call(&guest, "step", 7)), (8,));
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),), "a wait outside");
    let mut between = call(&guest, "between", 6);
    park(&mut between);
    desk.answer(6);
    assert_eq!(ends(&mut between), (7 + crate::common::answer(6) + 1,), "a wait between");
    assert_error!(
        fails(&mut call(&guest, "step", 100)),
        Error::DrivesAsyncify { import, functions } if import == "env.wait" && *functions == ["step"],
        "`env.wait` suspends, and was reached through `step`: this guest drives Asyncify itself there, and its own frames can be unwound no further; let it wait where none of these is on the stack"
    );
    assert!(!block_on(guest.is_poisoned()).unwrap());
    assert_eq!(ends(&mut call(&guest, "step", 9)), (10,));
}

static TYPED: ImportInfo = ImportInfo::new::<Direct, i32>(
    "env",
    "wait",
    true,
    &[ParamInfo::val::<i32>("tag", "i32")],
    "i32",
    "",
);

/// Another instance of the guest's own module, whose frames look like the guest's.
#[test]
fn another_instance_of_the_guests_module_is_told_before_it_runs_twice() {
    let engine = Engine::default();
    let fields = r#"(import "other" "outer" (func $other (param i32) (result i32))) (memory 1)
        (global $count (export "count") (mut i32) (i32.const 0))
        (func $outer (export "outer") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING
            (then (local.set $x (call $pop)))
            (else (global.set $count (i32.add (global.get $count) (i32.const 1)))))
          (local.set $answer (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))
        (func (export "through") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (local.set $x (call $pop))))
          (local.set $answer (call $other (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))"#;
    let module = module(&engine, &format!("{WAIT} {fields}"));
    let typed = |desk: &Desk| {
        let mut imports = AsyncImports::new();
        imports.suspending::<(Val<i32>, ()), Direct, i32, Desk, _, _>(
            &TYPED,
            &Arc::new(desk.clone()),
            |desk, (tag, ())| async move {
                let answer = desk.wait(tag).await;
                (desk, answer, ((), ()))
            },
        );
        imports
    };
    for is_typed in [false, true] {
        let desk = Desk::new();
        let imports = if is_typed { typed(&desk) } else { desk.imports(&engine) };
        let count = Arc::new(std::sync::Mutex::new(None));
        let (kept, same) = (Arc::clone(&count), module.wasmtime().clone());
        let builder = Guest::builder(&module).async_imports(imports);
        let builder = builder.link_with_store(move |linker, store| {
            let mut own = linker.clone();
            own.func_wrap("other", "outer", |x: i32| x)?;
            let instance = own.instantiate(&mut *store, &same)?;
            *kept.lock().unwrap() = instance.get_global(&mut *store, "count");
            linker.instance(&mut *store, "other", instance)?;
            Ok(())
        });
        let guest = block_on(builder.instantiate()).unwrap();
        let counted = || {
            let count = count.lock().unwrap().unwrap();
            guest.try_with(|cx| count.get(cx.store().unwrap()).unwrap_i32()).unwrap()
        };
        assert_error!(
            fails(&mut call(&guest, "through", 5)),
            Error::OtherInstance { import, functions, module: None }
                if import == "env.wait" && *functions == ["outer"],
            "`env.wait` suspends, and was reached through `outer` of another instance in the guest's store, whose frames cannot be unwound with the guest's; make that instance a guest of its own, and call it from an async import"
        );
        assert_eq!(counted(), 1);
        // The guest's own wait, before and after what is ready at once.
        for tag in [7, 8] {
            let mut own = call(&guest, "outer", tag);
            park(&mut own);
            desk.answer(6);
            assert_eq!(ends(&mut call(&guest, "through", 6)).0, crate::common::answer(6));
            desk.answer(tag);
            assert_eq!(ends(&mut own).0, crate::common::answer(tag));
        }
        assert_eq!(counted(), 3);
    }
}
