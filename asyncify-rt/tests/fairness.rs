//! Who gets the guest: nobody is left out, and a guest that runs away is stopped.

mod flight;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use asyncify_rt::{AsyncImports, Builder, Error, Guest, ImportResult, Module, Ticker};
use flight::answers::sum;
use flight::{block_on, i32, stack_guest, w, yield_now};
use wasmtime::{Config, Engine, FuncType, ValType};

fn epochs() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).unwrap()
}

/// `yielding.wasm`; `on_yield` is called whenever it yields.
fn yielding(
    engine: &Engine,
    on_yield: impl Fn() + Send + Sync + 'static,
    configure: impl FnOnce(Builder<()>) -> Builder<()>,
) -> Guest {
    let mut imports = AsyncImports::new();
    imports.define("env", "yield_now", FuncType::new(engine, [], []), move |_, _| {
        on_yield();
        Ok(ImportResult::wait(async {
            yield_now().await;
            Ok(vec![])
        }))
    });
    imports.define("env", "pause", FuncType::new(engine, [], [ValType::I32]), |_, _| {
        Ok(ImportResult::Sync(vec![i32(0)]))
    });
    let builder = Guest::builder(&flight::module(engine, "yielding.wasm")).async_imports(imports);
    block_on(configure(builder).instantiate()).unwrap()
}

/// A call that parks lets its executor go on, even if it could be resumed at once.
#[test]
fn calls_take_turns() {
    let yields = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&yields);
    let guest = yielding(
        &Engine::default(),
        move || _ = count.fetch_add(1, Ordering::SeqCst),
        |builder| builder,
    );
    let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin").unwrap();
    block_on(async {
        let after = async {
            spin.call((10,)).await.unwrap();
            yields.load(Ordering::SeqCst)
        };
        let (long, after) = futures::join!(spin.call((10_000,)), after);
        assert_eq!(long.unwrap(), (10_000,));
        // Both have yielded ten times by then, and the other one once more.
        assert!((20..=22).contains(&after), "{after}");
    });
}

/// Threads that call all the time, and never wait, leave the guest to others too.
#[test]
fn a_busy_guest_starves_no_thread() {
    let (guest, gates) = stack_guest(|builder| builder);
    gates.open_all();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (guest, stop) = (&guest, &stop);
            scope.spawn(move || {
                let busy = guest.all_exports().typed::<(u32, u32), (u32,)>("plain_sum").unwrap();
                while !stop.load(Ordering::SeqCst) {
                    block_on(busy.call((seed, 10_000))).unwrap();
                }
            });
        }
        let rare = guest.all_exports().typed::<(u32, u32), (u32,)>("sum").unwrap();
        for seed in 0..100 {
            assert_eq!(block_on(rare.call((seed, 2))).unwrap(), (sum(seed, 2, &mut w),));
        }
        stop.store(true, Ordering::SeqCst);
    });
}

fn is_deadline(error: &Error, name: &str) {
    let Error::Deadline { function, ticks: 2 } = error else { panic!("{error}") };
    assert_eq!(function, name);
}

#[test]
fn a_runaway_guest_is_stopped() {
    let engine = epochs();
    let guest = yielding(&engine, || {}, |builder| builder.epoch_deadline(2));
    let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin").unwrap();
    let compute = guest.all_exports().typed::<(u32,), (u32,)>("compute").unwrap();
    let ticker = Ticker::start(&engine, Duration::from_millis(1)).unwrap();
    let error = block_on(compute.call((u32::MAX,))).unwrap_err();
    is_deadline(&error, "compute");
    // As after a trap.
    let Err(Error::Poisoned { cause }) = block_on(spin.call((1,))) else { panic!("it goes on") };
    assert!(cause.starts_with("`compute` ran for more than 2 epoch ticks"), "{cause}");
    block_on(guest.clear_poison()).unwrap();
    // A plain call from the host is stopped as well.
    let plain = guest.with(|cx| cx.call::<u32, u32>("compute", u32::MAX));
    is_deadline(&block_on(plain).unwrap().unwrap_err(), "compute");
    drop(ticker);
    block_on(guest.clear_poison()).unwrap();
    assert_eq!(block_on(spin.call((3,))).unwrap(), (3,));
}

/// Each run of wasm has all its ticks, however late it comes and however many came before.
#[test]
fn a_guest_that_suspends_often_enough_goes_on() {
    let engine = epochs();
    let ticked = engine.clone();
    let tick = move || ticked.increment_epoch();
    let guest = yielding(&engine, tick, |builder| builder.epoch_deadline(3));
    let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin").unwrap();
    assert_eq!(block_on(spin.call((100,))).unwrap(), (100,));
    (0..100).for_each(|_| engine.increment_epoch());
    block_on(guest.with(|cx| cx.call::<(), ()>("nop", ()))).unwrap().unwrap();
    (0..100).for_each(|_| engine.increment_epoch());
    guest.try_with(|cx| cx.call::<(), ()>("nop", ())).unwrap().unwrap();
    assert_eq!(block_on(spin.call((1,))).unwrap(), (1,));
}

#[test]
fn any_number_of_ticks() {
    let engine = epochs();
    engine.increment_epoch();
    let guest = yielding(&engine, || {}, |builder| builder.epoch_deadline(u64::MAX));
    let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin").unwrap();
    assert_eq!(block_on(spin.call((1,))).unwrap(), (1,));
    // Without a deadline, an engine that counts epochs stops nobody.
    let guest = yielding(&engine, || {}, |builder| builder);
    (0..100).for_each(|_| engine.increment_epoch());
    let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin").unwrap();
    assert_eq!(block_on(spin.call((1,))).unwrap(), (1,));
}

#[test]
fn an_engine_that_does_not_look_at_its_epoch_is_an_error() {
    let mut fuel = Config::new();
    fuel.consume_fuel(true);
    for engine in [Engine::default(), Engine::new(&fuel).unwrap()] {
        let module = Module::new(&engine, "(module)").unwrap();
        let error = block_on(Guest::builder(&module).epoch_deadline(1).instantiate()).unwrap_err();
        let expected = "the engine does not interrupt by epochs, so a deadline would do nothing; turn it on with `Config::epoch_interruption(true)`";
        assert_eq!(error.to_string(), expected);
        let error = Ticker::start(&engine, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let mut both = Config::new();
    both.consume_fuel(true).epoch_interruption(true);
    let engine = Engine::new(&both).unwrap();
    drop(Ticker::start(&engine, Duration::from_secs(1)).unwrap());
}

#[test]
fn a_start_function_that_runs_away_is_stopped() {
    let engine = epochs();
    let text = "(module (func $forever (loop (br 0))) (start $forever))";
    let module = Module::new(&engine, text).unwrap();
    let _ticker = Ticker::start(&engine, Duration::from_millis(1)).unwrap();
    let error = block_on(Guest::builder(&module).epoch_deadline(2).instantiate()).unwrap_err();
    is_deadline(&error, "the start function");
}
