//! A window that the guest lends the place for: whoever looks at the memory sees the guest's own
//! bytes, and no other.

use asyncify_rt::{Builder, Error, Guest, Limits, StackPolicy};
use wasmtime::{Config, Engine};

use crate::common::{
    Desk, RUN, WAIT, answer, assert_error, block_on, call, ends, fails, module, park, poll, ran,
};

/// `wide(n)` waits with a frame of `4 n + 4` bytes, all of them zero but the last four.
const WIDE: &str = r#"
    (func (export "wide") (param $n i32) (result i32) (local $i i32) (local $answer i32)
      (if REWINDING (then
        (local.set $n (call $pop))
        (local.set $i (local.get $n))
        (block $done (loop $again
          (br_if $done (i32.eqz (local.get $i)))
          (if (call $pop) (then unreachable))
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br $again)))))
      (local.set $answer (call $wait (local.get $n)))
      (if UNWINDING (then
        (block $done (loop $again
          (br_if $done (i32.eq (local.get $i) (local.get $n)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (call $push (i32.const 0))
          (br $again)))
        (call $push (local.get $n))
        (return (i32.const 0))))
      (i32.add (local.get $answer) (local.get $n)))"#;

pub(crate) fn memory(guest: &Guest) -> Vec<u8> {
    guest.try_with(|cx| cx.memory().to_vec()).unwrap()
}

/// A guest with a window of so many bytes, in a memory that is full of what is its own.
fn filled(desk: &Desk, fields: &str, window: u64) -> (Guest, Vec<u8>) {
    let engine = Engine::new(Config::new().wasm_custom_page_sizes(true)).unwrap();
    let module = module(&engine, &format!("{WAIT} {RUN} {WIDE} {fields}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).window_size(window);
    let builder = builder.limits(Limits::default().window_bytes(1_000_000));
    // One of them does what no instrumented function does.
    let guest = block_on(builder.trust_instrumentation().instantiate()).unwrap();
    let own = |at: usize| (at * 7 + 3).to_le_bytes()[0];
    guest
        .try_with(|cx| {
            cx.memory_mut().iter_mut().enumerate().for_each(|(at, byte)| *byte = own(at));
        })
        .unwrap();
    let memory = memory(&guest);
    (guest, memory)
}

fn window(guest: &Guest) -> u64 {
    guest.try_stats().unwrap().window_bytes
}

#[test]
fn what_overflows_traps_at_the_end_of_the_memory_and_the_next_window_is_larger() {
    for filler in [0, 0xa5, 0xff] {
        let desk = Desk::new();
        let (guest, _) = filled(&desk, "(memory 2 2)", 64);
        guest.try_with(|cx| cx.memory_mut().fill(filler)).unwrap();
        let before = memory(&guest);
        let mut parked = call(&guest, "run", 1);
        park(&mut parked);
        for size in [64, 128, 256] {
            assert_error!(
                fails(&mut call(&guest, "wide", 100)),
                Error::WindowTooSmall { function, needed, size: had, poisoned: false }
                    if function == "wide" && *needed == size + 1 && *had == size,
                format!("`wide` needed at least {} bytes to unwind, and the window has {size}; nothing was overwritten, and the next call gets a larger window; call again, or start with a larger `Builder::window_size`", size + 1)
            );
            assert!(!block_on(guest.is_poisoned()).unwrap());
            assert!(memory(&guest) == before, "{filler} {size}");
        }
        let mut wide = call(&guest, "wide", 100);
        park(&mut wide);
        assert_eq!(window(&guest), 512);
        assert!(memory(&guest) == before);
        for (call, expected, tag) in [(&mut wide, answer(100) + 100, 100), (&mut parked, ran(1), 1)]
        {
            desk.answer(tag);
            assert_eq!(ends(call), (expected,));
            assert!(memory(&guest) == before);
        }
    }
}

/// Frames that end with the window have all the room there is, to the last byte.
#[test]
fn a_window_is_used_to_the_last_byte_of_the_memory() {
    for n in 0..40 {
        let desk = Desk::new();
        let (guest, before) = filled(&desk, "(memory 1 1)", 96);
        let mut wide = call(&guest, "wide", n);
        if 4 * n + 4 > 96 {
            assert!(matches!(fails(&mut wide), Error::WindowTooSmall { size: 96, .. }), "{n}");
        } else {
            park(&mut wide);
            desk.answer(n);
            assert_eq!(ends(&mut wide), (answer(n) + n,));
        }
        assert!(memory(&guest) == before, "{n}");
    }
}

#[test]
fn a_window_is_no_larger_than_its_limit_or_the_memory() {
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {RUN} {WIDE} (memory 1)"));
    let limits = Limits::default().window_bytes(208);
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).window_size(64);
    let guest = block_on(builder.limits(limits).instantiate()).unwrap();
    for size in [64, 128] {
        let error = fails(&mut call(&guest, "wide", 100));
        assert!(matches!(error, Error::WindowTooSmall { size: had, .. } if had == size), "{error}");
    }
    for _ in 0..2 {
        let error = fails(&mut call(&guest, "wide", 100));
        assert!(matches!(error, Error::Limit { limit: 208, .. }), "{error}");
    }
    let (guest, before) = filled(&desk, "(memory 1 1)", 40_000);
    for _ in 0..2 {
        let error = fails(&mut call(&guest, "wide", 17_000));
        let told = matches!(error, Error::WindowTooSmall { .. } | Error::NoRoom { .. });
        assert!(told, "{error}");
        assert!(memory(&guest) == before);
    }
    assert_error!(
        fails(&mut call(&guest, "wide", 17_000)),
        Error::NoRoom { what: "the window", size: 65521, .. },
        "no room for the window of 65521 bytes in the guest: its memory has 65536 bytes, and the window needs 16 more than its frames; give the guest a larger memory"
    );
    let mut wide = call(&guest, "wide", 16_000);
    park(&mut wide);
    assert!(memory(&guest) == before);
    desk.answer(16_000);
    assert_eq!(ends(&mut wide), (answer(16_000) + 16_000,));
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

/// Of one byte, of as much as an address can be, and what is between.
#[test]
fn a_memory_may_have_any_size() {
    for bytes in [0_u64, 1, 15, 16, 17, 19, 20, 21, 35, 100, 1_001, 65_535, 65_537] {
        let desk = Desk::new();
        let (guest, before) = filled(&desk, &format!("(memory {bytes} (pagesize 1))"), 16 << 10);
        let mut run = call(&guest, "run", 5);
        if bytes < 17 {
            let error = fails(&mut run);
            assert!(matches!(error, Error::NoRoom { what: "the window", .. }), "{bytes} {error}");
        } else if bytes < 20 {
            let error = fails(&mut run);
            assert!(matches!(error, Error::NoRoom { .. }), "{bytes} {error}");
        } else {
            park(&mut run);
            assert!(memory(&guest) == before, "{bytes}");
            desk.answer(5);
            assert_eq!(ends(&mut run), (ran(5),), "{bytes}");
        }
        assert!(memory(&guest) == before, "{bytes}");
        assert!(!block_on(guest.is_poisoned()).unwrap());
    }
}

#[test]
fn a_memory_of_4_gib_ends_with_its_window() {
    let desk = Desk::new();
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {RUN} {WIDE} (memory 65536)"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine)).window_size(64);
    let guest = block_on(builder.instantiate()).unwrap();
    let last = || guest.try_with(|cx| cx.memory().last_chunk::<200>().unwrap().to_vec()).unwrap();
    let first = || guest.try_with(|cx| cx.memory().first_chunk::<200>().unwrap().to_vec()).unwrap();
    let mut sizes = Vec::new();
    for n in [3, 13, 14, 15, 16, 17, 20] {
        let mut wide = call(&guest, "wide", n);
        match poll(&mut wide) {
            std::task::Poll::Pending => {
                desk.answer(n);
                assert_eq!(ends(&mut wide), (answer(n) + n,));
            }
            std::task::Poll::Ready(error) => {
                assert!(matches!(error, Err(Error::WindowTooSmall { .. })), "{error:?}");
            }
        }
        sizes.push(window(&guest));
        assert!(last().iter().chain(&first()).all(|byte| *byte == 0), "{n}");
    }
    assert!(sizes.windows(2).all(|sizes| sizes[0] <= sizes[1]), "{sizes:?}");
}

/// A trap that only looks like frames without room is the guest's own.
#[test]
fn another_access_beyond_the_memory_is_a_trap() {
    let desk = Desk::new();
    let fields = r#"(memory 1) (func (export "beyond") (param i32) (result i32)
        (drop (call $wait (local.get 0)))
        (if UNWINDING (then (call $push (i32.const 0)) (drop (i32.load (i32.const -8)))))
        (i32.const 0))"#;
    let (guest, before) = filled(&desk, fields, 4_096);
    let error = fails(&mut call(&guest, "beyond", 1));
    assert!(matches!(error, Error::Trap { .. }), "{error:?}");
    assert!(block_on(guest.is_poisoned()).unwrap());
    assert!(memory(&guest) == before);
}

#[test]
fn a_region_that_nobody_gives_is_told() {
    let desk = Desk::new();
    let engine = Engine::default();
    let stack =
        r#"(global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 4096))"#;
    let module = module(&engine, &format!("{WAIT} {RUN} (memory 2) {stack}"));
    let build = |policy: Option<StackPolicy>| {
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        let builder = policy.into_iter().fold(builder, Builder::stack_policy);
        block_on(builder.instantiate()).unwrap()
    };
    let guest = build(Some(StackPolicy::Separate));
    let mut first = call(&guest, "run", 1);
    park(&mut first);
    assert_error!(
        fails(&mut call(&guest, "run", 2)),
        Error::NoRoom { what: "a shadow stack region", .. },
        "no room for a shadow stack region of 4096 bytes in the guest: it exports no allocator, and no place is named for it; take `StackPolicy::Copied`, which needs none, or name a place with `Builder::place`"
    );
    desk.answer(1);
    assert_eq!(ends(&mut first), (ran(1),));
    let guest = build(None);
    let mut calls = [3, 4, 5].map(|x| (x, call(&guest, "run", x)));
    for (_, call) in &mut calls {
        park(call);
    }
    for (x, call) in &mut calls {
        desk.answer(*x);
        assert_eq!(ends(call), (ran(*x),));
    }
    assert_eq!(guest.try_stats().unwrap().regions, 0);
}
