//! Calls that end early: by a trap, by the host, by a deadline, by a limit.

use std::fmt;
use std::time::Duration;

use asyncify_rt::{AsyncImports, Error, Guest, ImportResult, Limits, Place, Ticker, Trap};
use wasmtime::{Config, Engine, FuncType, Val, ValType};

use crate::common::{
    Desk, RUN, WAIT, answer, assert_error, block_on, call, ends, fails, guest_with, import, module,
    park, ran, yield_now, yielding_wait,
};
use crate::texts::Texts;

/// `name(x)` waits, and traps where it is told to.
fn traps(name: &str, before: &str, unwinding: &str, rewinding: &str, after: &str) -> String {
    format!(
        r#"(func (export "{name}") (param $x i32) (result i32)
          (if REWINDING (then {rewinding} (drop (call $pop))) (else {before}))
          (drop (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) {unwinding} (return (i32.const 0))))
          {after} (i32.const 0))"#
    )
}

fn traps_everywhere() -> String {
    let fault = "unreachable";
    [
        traps("before", fault, "", "", ""),
        traps("unwinding", "", fault, "", ""),
        traps("rewinding", "", "", fault, ""),
        traps("after", "", "", "", fault),
    ]
    .concat()
}

fn is_trap(error: &Error, name: &str) {
    assert!(matches!(error, Error::Trap { function, .. } if function == name), "{error:?}");
    let text = error.to_string();
    let told = format!("`{name}` trapped: wasm `unreachable` instruction executed");
    assert!(text.starts_with(&told), "{text}");
    let trap = error.downcast_ref::<wasmtime::Trap>();
    assert_eq!(trap, Some(&wasmtime::Trap::UnreachableCodeReached));
}

#[test]
fn a_trap_at_any_step_is_told_with_its_backtrace() {
    for name in ["before", "unwinding", "rewinding", "after"] {
        let desk = Desk::new();
        let guest = guest_with(&desk, &traps_everywhere());
        let mut fated = call(&guest, name, 5);
        if matches!(name, "rewinding" | "after") {
            park(&mut fated);
            desk.answer(5);
        }
        let error = fails(&mut fated);
        is_trap(&error, name);
        let Error::Trap { source, .. } = &error else { unreachable!() };
        let text = source.to_string();
        assert!(text.contains("wasm backtrace") && text.contains("<wasm function"), "{text}");
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
        assert!(block_on(guest.is_poisoned()).unwrap());
        block_on(guest.clear_poison()).unwrap();
        let mut run = call(&guest, "run", 6);
        park(&mut run);
        desk.answer(6);
        assert_eq!(ends(&mut run), (ran(6),), "the state is put back after `{name}`");
    }
}

#[test]
fn a_guest_that_is_kept_after_traps_goes_on() {
    let desk = Desk::new();
    let engine = Engine::default();
    let fields = format!("{WAIT} (memory 1) {RUN} {}", traps_everywhere());
    let module = module(&engine, &fields);
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).trap_keeps_guest();
    let guest = block_on(builder.instantiate()).unwrap();
    let mut parked = call(&guest, "run", 50);
    park(&mut parked);
    for name in ["before", "unwinding", "rewinding", "after"] {
        let mut fated = call(&guest, name, 5);
        if matches!(name, "rewinding" | "after") {
            park(&mut fated);
            desk.answer(5);
        }
        is_trap(&fails(&mut fated), name);
        assert!(!block_on(guest.is_poisoned()).unwrap());
        desk.answer(6);
        assert_eq!(ends(&mut call(&guest, "run", 6)), (ran(6),));
    }
    desk.answer(50);
    assert_eq!(ends(&mut parked), (ran(50),), "a parked call outlives the others' traps");
}

#[derive(Debug)]
struct Refused(u32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// `env.wait` fails, after so many yields.
fn failing_wait(engine: &Engine, yields: u32) -> AsyncImports<()> {
    let mut imports = AsyncImports::new();
    import(&mut imports, engine, "wait", &[ValType::I32], &[ValType::I32], move |_| async move {
        for _ in 0..yields {
            yield_now().await;
        }
        Err(Trap::from(Refused(yields)))
    });
    imports
}

#[test]
fn an_error_of_the_host_ends_the_call_and_can_be_downcast() {
    let engine = Engine::default();
    for yields in [0, 1, 3] {
        let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
        let builder = Guest::builder(&module).async_imports(failing_wait(&engine, yields));
        let guest = block_on(builder.instantiate()).unwrap();
        let error = block_on(call(&guest, "run", 5)).unwrap_err();
        assert_eq!(error.downcast_ref::<Refused>().map(|refused| refused.0), Some(yields));
        assert!(error.downcast_ref::<fmt::Error>().is_none());
        assert_error!(
            error,
            Error::Host { function, poisons: false, .. } if function == "run",
            format!("`run` was ended by the host: refused with {yields}")
        );
        assert!(!block_on(guest.is_poisoned()).unwrap());
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}

#[test]
fn a_host_that_ends_calls_poisons_where_that_is_wanted() {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    let build = |imports| {
        let builder = Guest::builder(&module).async_imports(imports).host_end_poisons();
        block_on(builder.instantiate()).unwrap()
    };
    let guest = build(failing_wait(&engine, 1));
    block_on(call(&guest, "run", 5)).unwrap_err();
    assert_error!(
        fails(&mut call(&guest, "run", 5)),
        Error::Poisoned { cause } if cause == "`run` was ended by the host: refused with 1",
        "the guest is poisoned: `run` was ended by the host: refused with 1; start a new one, or open it for new calls with `Guest::clear_poison`"
    );
    let guest = build(yielding_wait(&engine, 1));
    let mut dropped = call(&guest, "run", 5);
    park(&mut dropped);
    drop(dropped);
    let error = fails(&mut call(&guest, "run", 5));
    assert!(
        matches!(error, Error::Poisoned { cause } if cause == "a call was dropped while it was parked")
    );
}

fn epoch_engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).unwrap()
}

const LOOPS: &str = r#"
    (func (export "forever") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))
    (func (export "short") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))"#;

#[test]
fn a_guest_that_runs_past_its_deadline_is_ended() {
    let engine = epoch_engine();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {LOOPS}"));
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 2));
    let guest = block_on(builder.epoch_deadline(2).instantiate()).unwrap();
    let ticker = asyncify_rt::Ticker::start(&engine, std::time::Duration::from_millis(1)).unwrap();
    let error = block_on(call(&guest, "forever", 0)).unwrap_err();
    drop(ticker);
    assert_error!(
        error,
        Error::Deadline { function, ticks: 2 } if function == "forever",
        "`forever` ran for more than 2 epoch ticks without suspending; raise `Builder::epoch_deadline`, or let the guest suspend more often"
    );
    assert!(block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn each_run_of_wasm_has_the_whole_deadline() {
    let engine = epoch_engine();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {LOOPS}"));
    let desk = Desk::new();
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let guest = block_on(builder.epoch_deadline(2).instantiate()).unwrap();
    let late = || (0..5).for_each(|_| engine.increment_epoch());
    let mut run = call(&guest, "run", 5);
    late();
    park(&mut run);
    late();
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
    late();
    let nested = guest.try_with(|cx| cx.call::<(i32,), i32>("short", (1,)));
    assert_eq!(nested.unwrap().unwrap(), 2, "a call within `with` too");
}

/// A guest whose `text` waits, and then does not end. How many texts are not freed is kept at 0.
fn texts(desk: &Desk, free: &str) -> (Guest, Ticker) {
    let engine = epoch_engine();
    let fields = format!(
        r#"{WAIT} (memory (export "memory") 1) {RUN}
        (func $count (param i32)
          (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))))
        (func (export "malloc") (param i32) (result i32) (call $count (i32.const 1)) (i32.const 1024))
        (func (export "free") (param i32) {free} (call $count (i32.const -1)))
        (func (export "text") (param i32) (param $len i32) (result i32)
          (if REWINDING (then (drop (call $pop))))
          (drop (call $wait (local.get $len)))
          (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
          (loop $again (br $again))
          (i32.const 0))"#
    );
    let builder = Guest::builder(&module(&engine, &fields)).async_imports(desk.imports(&engine));
    let builder = builder.place(Place::Grow).trap_keeps_guest().epoch_deadline(20);
    let guest = block_on(builder.instantiate()).unwrap();
    (guest, Ticker::start(&engine, Duration::from_millis(5)).unwrap())
}

#[test]
fn what_was_placed_is_freed_after_the_deadline() {
    let desk = Desk::new();
    let (guest, _ticker) = texts(&desk, "");
    let held = || guest.try_with(|cx| cx.read(0, 4).unwrap()[0]).unwrap();
    let Texts(text) = guest.exports().unwrap();
    for waits in [true, false] {
        let mut call = text.call(("a text".to_owned(), ()));
        if waits {
            park(&mut call);
            assert_eq!(held(), 1);
        }
        desk.answer(6);
        assert!(matches!(fails(&mut call), Error::Deadline { .. }));
        assert_eq!(held(), 0);
    }
}

#[test]
fn what_a_dropped_call_has_placed_takes_nothing_of_anothers_deadline() {
    let desk = Desk::new();
    let (guest, _ticker) = texts(&desk, "(loop $again (br $again))");
    let Texts(text) = guest.exports().unwrap();
    let mut calls = [0; 3].map(|_| text.call(("a text".to_owned(), ())));
    calls.iter_mut().for_each(park);
    drop(calls);
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

#[test]
fn a_deadline_needs_an_engine_that_counts_epochs() {
    const TEXT: &str = "the engine does not interrupt by epochs, so a deadline would do nothing; turn it on with `Config::epoch_interruption(true)`";
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 0));
    let error = block_on(builder.epoch_deadline(2).instantiate()).unwrap_err();
    assert_error!(error, Error::Config(_), TEXT);
    let period = std::time::Duration::from_secs(1);
    let error = asyncify_rt::Ticker::start(&engine, period).unwrap_err();
    assert_error!(error, Error::Config(_), TEXT);
}

#[test]
fn an_engine_that_counts_epochs_does_not_need_a_deadline() {
    let engine = epoch_engine();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 1));
    let guest = block_on(builder.instantiate()).unwrap();
    for _ in 0..5 {
        engine.increment_epoch();
    }
    assert_eq!(block_on(call(&guest, "run", 5)).unwrap(), (ran(5),));
}

fn limited(desk: &Desk, limits: Limits) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN} {LOOP}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).limits(limits);
    block_on(builder.instantiate()).unwrap()
}

/// `thrice(x)` waits three times for `x`, and returns the last answer.
const LOOP: &str = r#"
    (func (export "thrice") (param $x i32) (result i32) (local $i i32) (local $answer i32)
      (if REWINDING (then (local.set $i (call $pop)) (local.set $x (call $pop))))
      (loop $again
        (local.set $answer (call $wait (local.get $x)))
        (if UNWINDING (then
          (call $push (local.get $x)) (call $push (local.get $i)) (return (i32.const 0))))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
      (local.get $answer))"#;

#[test]
fn more_parked_calls_than_allowed_are_refused_and_the_others_go_on() {
    let desk = Desk::new();
    let guest = limited(&desk, Limits::default().parked_calls(2));
    let mut calls = [call(&guest, "run", 1), call(&guest, "run", 2)];
    calls.iter_mut().for_each(park);
    assert_error!(
        fails(&mut call(&guest, "run", 3)),
        Error::Limit { function, what: "parked calls", limit: 2 } if function == "run",
        "`run` reached the limit of 2 parked calls; raise it with `Builder::limits`"
    );
    desk.answer(1);
    assert_eq!(ends(&mut calls[0]), (ran(1),));
    park(&mut call(&guest, "run", 4));
    desk.answer(2);
    assert_eq!(ends(&mut calls[1]), (ran(2),));
}

#[test]
fn more_suspensions_of_one_call_than_allowed_are_refused() {
    let desk = Desk::new();
    let guest = limited(&desk, Limits::default().suspensions_per_call(2));
    let mut thrice = call(&guest, "thrice", 5);
    park(&mut thrice);
    desk.answer(5);
    park(&mut thrice);
    desk.answer(5);
    assert_error!(
        fails(&mut thrice),
        Error::Limit { function, what: "suspensions of one call", limit: 2 } if function == "thrice",
        "`thrice` reached the limit of 2 suspensions of one call; raise it with `Builder::limits`"
    );
    let enough = limited(&desk, Limits::default().suspensions_per_call(3));
    let mut thrice = call(&enough, "thrice", 6);
    for _ in 0..3 {
        park(&mut thrice);
        desk.answer(6);
    }
    assert_eq!(ends(&mut thrice), (answer(6),));
}

/// `env.wait(x)` calls `run(x + 1)`, without end.
fn nesting(limits: Limits) -> Guest {
    let engine = Engine::default();
    let mut imports = AsyncImports::new();
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    imports.define("env", "wait", ty, |cx, params| {
        let inner = call(&cx.guest()?, "run", params[0].unwrap_i32() + 1);
        Ok(ImportResult::wait(async move { Ok(vec![Val::I32(inner.await?.0)]) }))
    });
    let module = module(&engine, &format!("{WAIT} (memory 1) {RUN}"));
    block_on(Guest::builder(&module).async_imports(imports).limits(limits).instantiate()).unwrap()
}

#[test]
fn more_calls_within_each_other_than_allowed_are_refused() {
    for (limits, allowed) in [(Limits::default(), 100), (Limits::default().nested_calls(3), 3)] {
        let guest = nesting(limits);
        for _ in 0..2 {
            assert_error!(
                block_on(call(&guest, "run", 0)).unwrap_err(),
                Error::Limit { function, what: "calls within each other", limit }
                    if function == "run" && *limit == allowed,
                format!(
                    "`run` reached the limit of {allowed} calls within each other; raise it with `Builder::limits`"
                )
            );
            let stats = guest.try_stats().unwrap();
            assert_eq!((stats.parked_calls, stats.most_parked_calls as u64), (0, allowed));
        }
        assert!(!block_on(guest.is_poisoned()).unwrap());
    }
}

#[test]
fn more_bytes_of_parked_calls_than_allowed_are_refused() {
    let desk = Desk::new();
    let guest = limited(&desk, Limits::default().parked_bytes(8));
    let mut calls = [call(&guest, "run", 1), call(&guest, "run", 2)];
    calls.iter_mut().for_each(park);
    assert_error!(
        fails(&mut call(&guest, "run", 3)),
        Error::Limit { function, what: "bytes of parked calls", limit: 8 } if function == "run",
        "`run` reached the limit of 8 bytes of parked calls; raise it with `Builder::limits`"
    );
    for (call, x) in calls.iter_mut().zip([1, 2]) {
        desk.answer(x);
        assert_eq!(ends(call), (ran(x),));
    }
    assert_eq!(guest.try_stats().unwrap().parked_bytes, 0);
}
