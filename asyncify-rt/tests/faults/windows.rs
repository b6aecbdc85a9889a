//! The window: too small by little, by much, at the memory's end; and without room to grow.

use asyncify_rt::{Error, Guest, Place};
use wasmtime::Engine;

use crate::common::{
    Desk, RUN, WAIT, answer, assert_error, block_on, call, ends, fails, module, park, ran,
};

/// `wide(n)` waits with a frame of `4 n + 4` bytes, looks at each when they are back, and returns
/// `wait(n) + n`.
const WIDE: &str = r#"
    (func (export "wide") (param $n i32) (result i32) (local $i i32) (local $answer i32)
      (if REWINDING (then
        (local.set $n (call $pop))
        (local.set $i (local.get $n))
        (block $done (loop $again
          (br_if $done (i32.eqz (local.get $i)))
          (if (i32.ne (call $pop) (local.get $i)) (then unreachable))
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br $again)))))
      (local.set $answer (call $wait (local.get $n)))
      (if UNWINDING (then
        (block $done (loop $again
          (br_if $done (i32.eq (local.get $i) (local.get $n)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (call $push (local.get $i))
          (br $again)))
        (call $push (local.get $n))
        (return (i32.const 0))))
      (i32.add (local.get $answer) (local.get $n)))"#;

/// A guest whose first window has 64 bytes, and behind them as many again in a named range.
fn guest(desk: &Desk, memory: &str, place: Place) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {memory} {RUN} {WIDE}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    block_on(builder.place(place).window_size(64).instantiate()).unwrap()
}

const MEMORY: &str = r#"(memory (export "memory") 1)"#;

/// Parks `wide(n)`, and lets it end.
fn passes(desk: &Desk, guest: &Guest, n: i32) {
    let mut wide = call(guest, "wide", n);
    park(&mut wide);
    desk.answer(n);
    assert_eq!(ends(&mut wide), (answer(n) + n,));
}

fn window(guest: &Guest) -> u64 {
    guest.try_stats().unwrap().window_bytes
}

#[test]
fn what_overflows_into_the_slack_is_kept_and_the_next_window_is_larger() {
    let desk = Desk::new();
    let guest = guest(&desk, MEMORY, Place::Range(1024..8192));
    passes(&desk, &guest, 15);
    assert_eq!(window(&guest), 64, "frames that fit exactly");
    let mut wide = call(&guest, "wide", 31);
    park(&mut wide);
    assert_eq!(window(&guest), 64);
    assert_eq!(guest.try_stats().unwrap().most_window_bytes, 128);
    passes(&desk, &guest, 16);
    assert_eq!(window(&guest), 256, "the next window, while that call is parked");
    desk.answer(31);
    assert_eq!(ends(&mut wide), (answer(31) + 31,));
}

#[test]
fn what_overflows_beyond_the_slack_poisons_and_the_next_window_is_larger() {
    let desk = Desk::new();
    let guest = guest(&desk, MEMORY, Place::Range(1024..8192));
    let mut parked = call(&guest, "run", 1);
    park(&mut parked);
    let text = "`wide` needed at least 132 bytes to unwind, and the window has 64; what lay behind it in the guest is overwritten and the guest is poisoned; start it with a larger `Builder::window_size`";
    assert_error!(
        fails(&mut call(&guest, "wide", 32)),
        Error::WindowTooSmall { function, needed: 132, size: 64, poisoned: true }
            if function == "wide",
        text
    );
    assert!(matches!(fails(&mut parked), Error::Poisoned { cause } if cause == text));
    block_on(guest.clear_poison()).unwrap();
    passes(&desk, &guest, 32);
    assert_eq!(window(&guest), 264);
}

#[test]
fn what_overflows_at_the_memorys_end_traps_before_it_does_damage() {
    let desk = Desk::new();
    let guest = guest(&desk, MEMORY, Place::Grow);
    let mut parked = call(&guest, "run", 1);
    park(&mut parked);
    let room = (64 << 10) - 16;
    assert_error!(
        fails(&mut call(&guest, "wide", 17_000)),
        Error::WindowTooSmall { function, needed, size: 64, poisoned: false }
            if function == "wide" && *needed == room,
        format!("`wide` needed at least {room} bytes to unwind, and the window has 64; nothing was overwritten, and the next call gets a larger window; call again, or start with a larger `Builder::window_size`")
    );
    assert!(!block_on(guest.is_poisoned()).unwrap());
    passes(&desk, &guest, 17_000);
    assert_eq!(window(&guest), 2 * room);
    desk.answer(1);
    assert_eq!(ends(&mut parked), (ran(1),));
}

#[test]
fn a_window_that_cannot_grow_serves_as_long_as_it_can() {
    let desk = Desk::new();
    let guest = guest(&desk, MEMORY, Place::Range(1024..1168));
    for _ in 0..2 {
        passes(&desk, &guest, 31);
        passes(&desk, &guest, 3);
    }
    let mut parked = [call(&guest, "wide", 31), call(&guest, "wide", 30)];
    parked.iter_mut().for_each(park);
    desk.answer(31);
    assert_eq!(ends(&mut parked[0]), (answer(31) + 31,));
    desk.answer(30);
    assert_eq!(ends(&mut parked[1]), (answer(30) + 30,));
    assert_eq!(window(&guest), 64);
}

#[test]
fn a_window_grows_to_its_limit_only() {
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {MEMORY} {RUN} {WIDE}"));
    let builder = Guest::builder(&module)
        .async_imports(desk.imports(&engine))
        .place(Place::Range(1024..65536))
        .window_size(64)
        .limits(asyncify_rt::Limits::default().window_bytes(200));
    let guest = block_on(builder.instantiate()).unwrap();
    passes(&desk, &guest, 31);
    passes(&desk, &guest, 40);
    assert_eq!(window(&guest), 200);
    // What ends in the slack has done no damage, but the limit is the limit.
    let error = fails(&mut call(&guest, "wide", 60));
    assert!(matches!(error, Error::Limit { limit: 200, .. }), "{error:?}");
    let error = fails(&mut call(&guest, "wide", 200));
    assert!(matches!(error, Error::WindowTooSmall { size, poisoned: true, .. } if size < 804));
}

#[test]
fn a_window_from_the_guests_allocator_is_given_back_when_it_is_replaced() {
    let desk = Desk::new();
    let engine = Engine::default();
    let malloc = r#"
        (global $next (mut i32) (i32.const 4096)) (global $live (mut i32) (i32.const 0))
        (func (export "malloc") (param i32) (result i32)
          (global.set $live (i32.add (global.get $live) (i32.const 1)))
          (global.get $next)
          (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 0) (i32.const 15)) (i32.const -16)))))
        (func (export "free") (param i32)
          (global.set $live (i32.sub (global.get $live) (i32.const 1))))
        (func (export "live") (param i32) (result i32) (global.get $live))"#;
    let module = module(&engine, &format!("{WAIT} {MEMORY} {RUN} {WIDE} {malloc}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).window_size(64);
    let guest = block_on(builder.instantiate()).unwrap();
    assert_eq!(ends(&mut call(&guest, "live", 0)), (0,), "before anything parks");
    passes(&desk, &guest, 31);
    passes(&desk, &guest, 31);
    assert_eq!(window(&guest), 256);
    assert_eq!(ends(&mut call(&guest, "live", 0)), (1,));
}
