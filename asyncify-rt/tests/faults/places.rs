//! Where the window goes, and what is told when there is no room.

use asyncify_rt::{Error, Guest, GuestCx, Module, Place, StackPolicy};
use wasmtime::{Config, Engine, StoreLimitsBuilder};

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, fails, module, park, ran,
};

const WAYS_OUT: &str =
    "ask for less with `Builder::window_size`, or name another place with `Builder::place`";

fn guest_of(desk: &Desk, fields: &str, place: Place) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {RUN} {fields}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    // An allocator that waits is one of the guests.
    block_on(builder.place(place).trust_instrumentation().instantiate()).unwrap()
}

/// The first call that parks has no room for the window; calls that do not wait still work.
fn has_no_room(desk: &Desk, guest: &Guest, bytes: u64, why: &str) {
    for _ in 0..2 {
        assert_error!(
            fails(&mut call(guest, "run", 5)),
            Error::NoRoom { what: "the window", size, reason } if *size == bytes && reason.starts_with(why),
            format!("no room for the window of {bytes} bytes in the guest: {why}; {WAYS_OUT}")
        );
    }
    assert!(!block_on(guest.is_poisoned()).unwrap());
    desk.answer(6);
    assert_eq!(ends(&mut call(guest, "run", 6)), (ran(6),));
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

/// A window of 64 KiB, as much slack, and its struct.
const WINDOW: u64 = 2 * (64 << 10) + 16;

/// `run`, parked and answered.
fn passes(desk: &Desk, guest: &Guest) {
    let mut run = call(guest, "run", 5);
    park(&mut run);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
}

fn window(guest: &Guest) -> u64 {
    guest.try_stats().unwrap().window_bytes
}

fn pages(guest: &Guest) -> usize {
    guest.try_with(|cx| cx.memory().len() >> 16).unwrap()
}

#[test]
fn a_memory_grows_by_what_it_can() {
    for (memory, most, least) in [("2 2", 0, 0), ("1 2", 1, 1), ("2 4", 2, 1), ("1", 3, 3)] {
        let desk = Desk::new();
        let guest = guest_of(&desk, &format!("(memory {memory})"), Place::Grow);
        let before = pages(&guest);
        if most == 0 {
            has_no_room(
                &desk,
                &guest,
                WINDOW,
                "the memory cannot grow: failed to grow memory by `1`",
            );
            continue;
        }
        passes(&desk, &guest);
        let grown = pages(&guest) - before;
        assert!((least..=most).contains(&grown), "{memory}: {grown}");
        assert!(window(&guest) >= 32_000, "{memory}: {}", window(&guest));
    }
}

#[test]
fn a_memory_that_the_host_limits_grows_by_what_it_may() {
    for (pages, has_room) in [(1, false), (2, true)] {
        let desk = Desk::new();
        let engine = Engine::default();
        let module = module(&engine, &format!("{WAIT} {RUN} (memory 1)"));
        let limits = StoreLimitsBuilder::new().memory_size(pages << 16).build();
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        let builder = builder.place(Place::Grow).store_limits(limits);
        let guest = block_on(builder.instantiate()).unwrap();
        if has_room {
            passes(&desk, &guest);
        } else {
            let why = "the memory cannot grow: failed to grow memory by `1`";
            has_no_room(&desk, &guest, WINDOW, why);
        }
    }
}

fn allocator(malloc: &str) -> String {
    format!(
        r#"(memory 1) (func (export "malloc") (param i32) (result i32) {malloc})
        (func (export "free") (param i32))"#
    )
}

#[test]
fn an_allocator_that_answers_0_has_no_room() {
    let desk = Desk::new();
    let guest = guest_of(&desk, &allocator("(i32.const 0)"), Place::Auto);
    has_no_room(&desk, &guest, WINDOW, "its allocator has none");
}

#[test]
fn an_allocator_that_answers_an_address_outside_the_memory_has_no_room() {
    let why = "its allocator answered an address outside the memory";
    for address in [64 << 10, 1024, -16] {
        let desk = Desk::new();
        let malloc = allocator(&format!("(i32.const {address})"));
        has_no_room(&desk, &guest_of(&desk, &malloc, Place::Auto), WINDOW, why);
    }
}

#[test]
fn an_allocator_that_traps_poisons() {
    let desk = Desk::new();
    let guest = guest_of(&desk, &allocator("unreachable"), Place::Auto);
    let error = fails(&mut call(&guest, "run", 5));
    let trapped =
        |error: &Error| matches!(error, Error::Trap { function, .. } if function == "malloc");
    assert!(
        matches!(&error, Error::Allocator { function, source } if function == "run" && trapped(source))
    );
    let text = error.to_string();
    assert!(text.starts_with("`run`: the guest's allocator `malloc` trapped"), "{text}");
    assert!(error.downcast_ref::<wasmtime::Trap>().is_some(), "{error:?}");
    assert!(block_on(guest.is_poisoned()).unwrap());
    assert_eq!(desk.dropped(), 1);
}

#[test]
fn an_allocator_that_suspends_is_refused() {
    let desk = Desk::new();
    let malloc = allocator("(drop (call $run (i32.const 7))) (i32.const 1024)");
    let guest = guest_of(&desk, &malloc, Place::Auto);
    let error = fails(&mut call(&guest, "run", 5));
    assert!(matches!(&error, Error::HostFrame { import } if import == "env.wait"), "{error:?}");
    assert_eq!(desk.asked(), [5]);
}

#[test]
fn a_range_that_is_too_small_or_outside_the_memory_has_no_room() {
    for (range, why) in [
        (1024..1024 + 79, "the range that was named has 79 bytes left"),
        (1025..1040 + 79, "the range that was named has 79 bytes left"),
        (0..0, "the range that was named has 0 bytes left"),
        (u64::MAX - 8..u64::MAX, "the range that was named has 0 bytes left"),
        (65536..1 << 20, "the range that was named ends at 0x100000, and the memory at 0x10000"),
        (1024..1 << 20, "the range that was named ends at 0x100000, and the memory at 0x10000"),
    ] {
        let desk = Desk::new();
        let guest = guest_of(&desk, "(memory 1)", Place::Range(range));
        has_no_room(&desk, &guest, WINDOW, why);
    }
}

#[test]
fn a_range_is_used_to_its_last_byte() {
    for size in [80, 96, 1_000, 4_096, WINDOW] {
        let desk = Desk::new();
        let end = 3 * (64 << 10);
        let engine = Engine::default();
        let module = module(&engine, &format!("{WAIT} {RUN} (memory 3)"));
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        let builder = builder.stack_policy(StackPolicy::Copied);
        let guest = block_on(builder.place(Place::Range(end - size..end)).instantiate()).unwrap();
        passes(&desk, &guest);
        assert_eq!(window(&guest), (size / 16 * 16 - 16).div_ceil(2).min(64 << 10), "{size}");
    }
}

/// As the guide has it: a page for the window and regions.
#[test]
fn a_window_leaves_most_of_a_range_to_regions() {
    for memory in ["2", "2 2", "5"] {
        let desk = Desk::new();
        let stack =
            r#"(global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 4096))"#;
        let fields = format!("(memory {memory}) {stack}");
        let engine = Engine::default();
        let module = module(&engine, &format!("{WAIT} {RUN} {fields}"));
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        let builder = builder.place(Place::Range(0x10000..0x20000)).region_size(64 << 10);
        let guest = block_on(builder.instantiate()).unwrap();
        let mut calls = [5, 6].map(|x| (x, call(&guest, "run", x)));
        for (_, call) in &mut calls {
            park(call);
        }
        assert_eq!(window(&guest), (16 << 10) / 2 - 8);
        assert_error!(
            fails(&mut call(&guest, "run", 7)),
            Error::NoRoom { what: "a shadow stack region", .. },
            "no room for a shadow stack region of 65536 bytes in the guest: the range that was named has 0 bytes left; ask for less with `Builder::region_size`, take `StackPolicy::Copied`, which needs none, or name another place with `Builder::place`"
        );
        for (x, call) in &mut calls {
            desk.answer(*x);
            assert_eq!(ends(call), (ran(*x),));
        }
    }
}

#[test]
fn an_allocator_can_be_named_and_must_be_there() {
    let desk = Desk::new();
    let engine = Engine::default();
    let fields = r#"(memory 4) (func (export "m") (param i32) (result i32) (i32.const 1024))
        (func (export "f") (param i32)) (func (export "g") (param i64))"#;
    let module = module(&engine, &format!("{WAIT} {RUN} {fields}"));
    let build = |malloc: &str, free: &str| {
        let place = Place::Functions { malloc: malloc.to_owned(), free: free.to_owned() };
        let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
        block_on(builder.place(place).instantiate())
    };
    let guest = build("m", "f").unwrap();
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    assert_eq!(
        guest.try_with(|cx| cx.read(1024, 4).unwrap().to_vec()).unwrap(),
        1044_u32.to_le_bytes()
    );
    assert_error!(
        build("m", "gone").unwrap_err(),
        Error::Config(_),
        "allocator function `gone`: the guest exports no such function"
    );
    let wrong = build("m", "g").unwrap_err();
    assert_error!(
        wrong,
        Error::Config(_),
        "allocator function `g` has the type (i64) -> (), and should be (pointer) or (pointer, size) or (pointer, size, align) -> (), each an i32"
    );
}

#[test]
fn an_imported_memory_is_made_and_used() {
    let desk = Desk::new();
    let engine = Engine::default();
    let imports = r#"(import "env" "memory" (memory 1 8))"#;
    let module: Module = module(&engine, &format!("{WAIT} {imports} {RUN}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let guest = block_on(builder.instantiate()).unwrap();
    passes(&desk, &guest);
    assert_eq!(pages(&guest), 1);
}

#[test]
fn a_memory_may_have_pages_of_one_byte() {
    let desk = Desk::new();
    let engine = Engine::new(Config::new().wasm_custom_page_sizes(true)).unwrap();
    let memory = r#"(memory 1001 (pagesize 1))
        (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 1000))"#;
    let module = module(&engine, &format!("{WAIT} {RUN} {memory}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.place(Place::Grow).region_size(1024);
    let guest = block_on(builder.instantiate()).unwrap();
    let mut calls = [5, 6, 7].map(|x| (x, call(&guest, "run", x)));
    for (_, call) in &mut calls {
        park(call);
    }
    // To a multiple of 16, the window, and two regions.
    let size = guest.try_with(|cx| cx.memory().len() as u64).unwrap();
    assert_eq!(size, 1008 + WINDOW + 2 * 1024);
    for (x, call) in &mut calls {
        desk.answer(*x);
        assert_eq!(ends(call), (ran(*x),));
    }
}

#[test]
fn a_value_that_is_placed_above_4_gib_is_freed_and_told() {
    let engine = Engine::default();
    let fields = r#"(module (memory i64 65537)
        (global $taken (mut i32) (i32.const 0))
        (func (export "taken") (result i32) (global.get $taken))
        (func (export "malloc") (param i64) (result i64)
          (global.set $taken (i32.add (global.get $taken) (i32.const 1)))
          (i64.const 0x100000000))
        (func (export "free") (param i64)
          (global.set $taken (i32.sub (global.get $taken) (i32.const 1)))))"#;
    let module = Module::new(&engine, fields).unwrap();
    let guest = block_on(Guest::builder(&module).instantiate()).unwrap();
    let placed = |cx: &mut GuestCx<'_, ()>| {
        (cx.place(b"a text").unwrap_err(), cx.call::<(), i32>("taken", ()).unwrap())
    };
    let (error, taken) = guest.try_with(placed).unwrap();
    assert_error!(
        error,
        Error::NoRoom { what: "a value", size: 6, .. },
        format!(
            "no room for a value of 6 bytes in the guest: its allocator answered an address above 4 GiB; give a guest that takes text a 32-bit memory"
        )
    );
    assert_eq!(taken, 0);
}
