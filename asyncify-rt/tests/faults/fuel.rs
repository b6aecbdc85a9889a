//! Fuel: each run of wasm has its own, and a guest that was given none is told so.

use asyncify_rt::{Builder, Error, Guest, Module};
use wasmtime::{Config, Engine};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, fails, instantiate, module, park, ran,
    yielding_wait,
};
use crate::texts::Texts;

fn engine() -> Engine {
    let mut config = Config::new();
    config.consume_fuel(true);
    Engine::new(&config).unwrap()
}

/// `spins(n)` waits, counts down from `n`, waits again, and returns the last answer.
const SPINS: &str = r#"
    (func (export "spins") (param $n i32) (result i32) (local $at i32) (local $answer i32)
      (if REWINDING (then (local.set $at (call $pop)) (local.set $n (call $pop))))
      (if (i32.eqz (local.get $at))
        (then
          (local.set $answer (call $wait (local.get $n)))
          (if UNWINDING
            (then (call $push (local.get $n)) (call $push (i32.const 0)) (return (i32.const 0))))
          (local.set $at (local.get $n))
          (loop $again
            (br_if $again (local.tee $at (i32.sub (local.get $at) (i32.const 1)))))
          (local.set $at (i32.const 1))))
      (local.set $answer (call $wait (local.get $n)))
      (if UNWINDING
        (then (call $push (local.get $n)) (call $push (i32.const 1)) (return (i32.const 0))))
      (local.get $answer))
    (func (export "short") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))"#;

fn spinning(engine: &Engine) -> Module {
    module(engine, &format!("{WAIT} (memory (export \"memory\") 1) {RUN} {SPINS}"))
}

fn guest(desk: &Desk, configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Guest {
    let engine = engine();
    let builder = Guest::builder(&spinning(&engine)).async_imports(desk.imports(&engine));
    block_on(configure(builder).instantiate()).unwrap()
}

const NONE: &str = "has no fuel left in the store: the engine counts it, and the builder gives this guest none; give each run its own with `Builder::fuel`, set more through the store, or leave `Config::consume_fuel` off";

#[test]
fn a_call_that_uses_up_its_fuel_takes_none_of_another() {
    let desk = Desk::new();
    let guest = guest(&desk, |builder| builder.fuel(20_000).trap_keeps_guest());
    let mut spins = call(&guest, "spins", 1_000_000);
    let mut other = call(&guest, "spins", 10);
    park(&mut spins);
    park(&mut other);
    desk.answer(1_000_000);
    assert_error!(
        fails(&mut spins),
        Error::OutOfFuel { function, fuel: Some(20_000) } if function == "spins",
        "`spins` used up its 20000 units of fuel without suspending; raise `Builder::fuel`, or let the guest suspend more often"
    );
    desk.answer(10);
    park(&mut other);
    desk.answer(10);
    assert_eq!(ends(&mut other), (31,));
    assert_eq!(ends(&mut call(&guest, "short", 1)), (2,));
}

#[test]
fn fuel_that_is_used_up_poisons_as_a_deadline_does() {
    let desk = Desk::new();
    let guest = guest(&desk, |builder| builder.fuel(20_000));
    let mut spins = call(&guest, "spins", 1_000_000);
    park(&mut spins);
    desk.answer(1_000_000);
    assert!(matches!(fails(&mut spins), Error::OutOfFuel { .. }));
    assert!(matches!(fails(&mut call(&guest, "short", 1)), Error::Poisoned { .. }));
}

#[test]
fn each_run_has_all_of_the_fuel() {
    let desk = Desk::new();
    let guest = guest(&desk, |builder| builder.fuel(1_000));
    for x in 0..100 {
        // Two runs and one within `with`, which take more than a hundredth of it each.
        let mut run = call(&guest, "run", x);
        park(&mut run);
        desk.answer(x);
        assert_eq!(ends(&mut run), (ran(x),));
        let nested = guest.try_with(|cx| cx.call::<(i32,), i32>("short", (x,)));
        assert_eq!(nested.unwrap().unwrap(), x + 1);
    }
    let left = guest.try_with(|cx| cx.store().unwrap().get_fuel().unwrap()).unwrap();
    assert_eq!(left, 1_000);
}

#[test]
fn what_a_call_placed_is_freed_with_fuel_of_its_own() {
    let engine = engine();
    let fields = r#"(memory (export "memory") 1)
        (func $count (param i32)
          (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))))
        (func (export "malloc") (param i32) (result i32) (call $count (i32.const 1)) (i32.const 1024))
        (func (export "free") (param i32) (call $count (i32.const -1)))
        (func (export "text") (param i32 i32) (result i32) (loop $again (br $again)) (i32.const 0))"#;
    let module = module(&engine, fields);
    let builder = Guest::builder(&module).fuel(10_000).trap_keeps_guest();
    let guest = block_on(builder.instantiate()).unwrap();
    let Texts(text) = guest.exports().unwrap();
    assert!(matches!(fails(&mut text.call(("a text".to_owned(), ()))), Error::OutOfFuel { .. }));
    assert_eq!(guest.try_with(|cx| cx.read(0, 4).unwrap()[0]).unwrap(), 0);
}

#[test]
fn a_guest_that_was_given_no_fuel_is_told() {
    let desk = Desk::new();
    let hungry = guest(&desk, |builder| builder);
    assert_error!(
        fails(&mut call(&hungry, "run", 5)),
        Error::OutOfFuel { function, fuel: None } if function == "run",
        format!("`run` {NONE}")
    );
    // Given by hand, it is the guest's, for all its runs.
    let fed =
        guest(&desk, |builder| builder.link_with_store(|_, store| Ok(store.set_fuel(100_000)?)));
    let mut run = call(&fed, "run", 5);
    park(&mut run);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
    let left = fed.try_with(|cx| cx.store().unwrap().get_fuel().unwrap()).unwrap();
    assert!((1..100_000).contains(&left), "{left}");
}

#[test]
fn what_runs_first_has_fuel_too() {
    let engine = engine();
    let start = r"(func $start (local $n i32) (local.set $n (i32.const 1000))
        (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))";
    for (first, name) in [
        (format!("(module {start} (start $start))"), "the start function"),
        (format!("(module {start} (export \"_initialize\" (func $start)))"), "_initialize"),
    ] {
        let module = Module::new(&engine, first).unwrap();
        let error = block_on(Guest::builder(&module).instantiate()).unwrap_err();
        assert_error!(error, Error::OutOfFuel { fuel: None, .. }, format!("`{name}` {NONE}"));
        let error = block_on(Guest::builder(&module).fuel(1_000).instantiate()).unwrap_err();
        assert!(
            matches!(&error, Error::OutOfFuel { function, fuel: Some(1_000) } if function == name),
            "{error}"
        );
        block_on(Guest::builder(&module).fuel(10_000).instantiate()).unwrap();
    }
}

#[test]
fn a_budget_needs_an_engine_that_counts_fuel() {
    const TEXT: &str = "the engine does not count fuel, so a budget of it would do nothing; turn it on with `Config::consume_fuel(true)`";
    let engine = Engine::default();
    let module = spinning(&engine);
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, 0));
    let error = block_on(builder.fuel(1_000).instantiate()).unwrap_err();
    assert_error!(error, Error::Config(_), TEXT);
    // One that counts nothing needs none.
    let guest = instantiate(&module, yielding_wait(&engine, 1));
    assert_eq!(block_on(call(&guest, "run", 5)).unwrap(), (ran(5),));
}
