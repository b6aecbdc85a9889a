//! Allocators of every shape: found by name and type, or named; and freed by their own rule.

use asyncify_rt::{Allocator, Error, Guest, Place, Prepared};
use wasmtime::Engine;

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, fails, module, park, ran,
};
use crate::texts::Texts;

/// An allocator that keeps count of what it gave, in bytes. It
/// traps where an alignment is another than 16, or a size another than what was asked for.
fn allocator(alloc: &str, params: usize, free: Option<(&str, usize)>) -> String {
    let align =
        |local| format!("(if (i32.ne (local.get {local}) (i32.const 16)) (then unreachable))");
    let types = |count: usize| "(param i32) ".repeat(count);
    let own = if params == 2 { align(1) } else { String::new() };
    let free = free.map(|(free, params)| {
        let size = "(i32.load (i32.sub (local.get 0) (i32.const 16)))";
        let told = "(if (i32.ne (local.get 1) (i32.load (i32.sub (local.get 0) (i32.const 16)))) (then unreachable))";
        let told = if params > 1 { told } else { "" };
        let align = if params > 2 { align(2) } else { String::new() };
        format!(
            r#"(func (export "{free}") {} {told} {align}
            (global.set $given (i32.sub (global.get $given) {size})))"#,
            types(params)
        )
    });
    format!(
        r#"(memory (export "memory") 40)
        (global $top (mut i32) (i32.const 1040)) (global $given (mut i32) (i32.const 0))
        (func (export "given") (param i32) (result i32) (global.get $given))
        (func (export "{alloc}") {} (result i32) {own}
          (global.set $given (i32.add (global.get $given) (local.get 0)))
          (i32.store (global.get $top) (local.get 0))
          (i32.add (global.get $top) (i32.const 16))
          (global.set $top
            (i32.add (global.get $top) (i32.and (i32.add (local.get 0) (i32.const 47)) (i32.const -16)))))
        {}"#,
        types(params),
        free.unwrap_or_default()
    )
}

/// `text(text)` waits, and is the text's length.
const TEXT: &str = r#"
    (func (export "text") (param $at i32) (param $len i32) (result i32)
      (if REWINDING (then (local.set $len (call $pop))))
      (drop (call $wait (local.get $len)))
      (if UNWINDING (then (call $push (local.get $len)) (return (i32.const 0))))
      (local.get $len))"#;

fn guest(desk: &Desk, fields: &str, place: Place) -> Result<Guest, Error> {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {RUN} {TEXT} {fields}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    block_on(builder.place(place).no_stack_pointer().instantiate())
}

fn found(fields: &str) -> Option<Allocator> {
    Prepared::new(format!("(module {fields})")).unwrap().findings().allocator().cloned()
}

fn given(guest: &Guest) -> i32 {
    ends(&mut call(guest, "given", 0)).0
}

/// Bytes that a call with a text of 7 bytes leaves behind, whether it waits, ends or is dropped; the
/// window is there before.
fn leaves(desk: &Desk, guest: &Guest) -> [i32; 3] {
    let mut run = call(guest, "run", 1);
    park(&mut run);
    desk.answer(1);
    assert_eq!(ends(&mut run), (ran(1),));
    let Texts(text) = guest.exports().unwrap();
    let mut before = given(guest);
    let mut left = || {
        let now = given(guest);
        now - std::mem::replace(&mut before, now)
    };
    let mut call = text.call(("a title".to_owned(), ()));
    park(&mut call);
    let held = left();
    desk.answer(7);
    assert_eq!(ends(&mut call), 7);
    let ended = left();
    let mut call = text.call(("a title".to_owned(), ()));
    park(&mut call);
    drop(call);
    [held, ended, left()]
}

#[test]
fn each_usual_shape_is_found_and_frees_by_its_own_rule() {
    const FREES: [i32; 3] = [7, -7, 0];
    const KEEPS: [i32; 3] = [7, 0, 7];
    for (alloc, params, free, left) in [
        ("malloc", 1, Some(("free", 1)), Some(FREES)),
        ("alloc", 1, Some(("dealloc", 2)), Some(FREES)),
        ("alloc", 2, Some(("dealloc", 3)), Some(FREES)),
        ("allocate", 1, Some(("deallocate", 2)), Some(FREES)),
        ("__wbindgen_malloc", 1, Some(("__wbindgen_free", 2)), Some(FREES)),
        ("__wbindgen_malloc", 2, Some(("__wbindgen_free", 3)), Some(FREES)),
        ("malloc", 1, None, Some(KEEPS)),
        ("proxy_on_memory_allocate", 1, None, Some(KEEPS)),
        // What these do is not certain by their names and types.
        ("alloc", 1, None, None),
        ("allocate", 1, Some(("deallocate", 1)), None),
        ("alloc", 2, Some(("dealloc", 2)), None),
        ("malloc", 2, Some(("free", 2)), None),
        ("take", 1, Some(("give", 1)), None),
    ] {
        let fields = allocator(alloc, params, free);
        let names =
            found(&fields).map(|found| found.functions().map(str::to_owned).collect::<Vec<_>>());
        let own = || [Some(alloc), free.map(|(free, _)| free)].into_iter().flatten();
        let expected = left.map(|_| own().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(names, expected, "{alloc} {params} {free:?}");

        let desk = Desk::new();
        let auto = guest(&desk, &fields, Place::Auto).unwrap();
        if let Some(left) = left {
            assert_eq!(leaves(&desk, &auto), left, "{alloc} {params} {free:?}");
        }
        // Named, each of them is taken for what it is.
        let malloc = alloc.to_owned();
        let (place, left) = match free {
            Some((free, _)) => (Place::Functions { malloc, free: free.to_owned() }, FREES),
            None => (Place::AllocateOnly { malloc }, KEEPS),
        };
        let by_name = guest(&desk, &fields, place).unwrap();
        assert_eq!(leaves(&desk, &by_name), left, "{alloc} {params} {free:?}, named");
    }
}

#[test]
fn a_component_s_allocator_frees_if_the_module_can() {
    let realloc = r#"
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (if (i32.or (local.get 0) (i32.ne (local.get 2) (i32.const 16))) (then unreachable))
          (call $alloc (local.get 3)))"#;
    for (free, left) in [(Some(("free", 1)), [7, -7, 0]), (None, [7, 0, 7])] {
        let fields = allocator("none", 1, free).replace("(func (export \"none\")", "(func $alloc");
        let fields = format!("{fields} {realloc}");
        let is_it = |found: Option<Allocator>| match found {
            Some(Allocator::CabiRealloc { free: found, .. }) => found.is_some() == free.is_some(),
            _ => false,
        };
        assert!(is_it(found(&fields)));
        let desk = Desk::new();
        assert_eq!(leaves(&desk, &guest(&desk, &fields, Place::Auto).unwrap()), left);
    }
}

#[test]
fn what_is_named_must_have_an_allocator_s_type() {
    let desk = Desk::new();
    let fields = r#"(memory 4) (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "wide") (param i64) (result i32) (i32.const 1024))
        (func (export "dealloc") (param i32 i32 i32))
        (func (export "odd") (param i32 f32))"#;
    let named = |malloc: &str, free: &str| {
        let place = Place::Functions { malloc: malloc.to_owned(), free: free.to_owned() };
        guest(&desk, fields, place).err().unwrap()
    };
    assert_error!(
        named("wide", "dealloc"),
        Error::Config(_),
        "allocator function `wide` has the type (i64) -> (i32), and should be (size) or (size, align) -> pointer, each an i32"
    );
    assert_error!(
        named("alloc", "odd"),
        Error::Config(_),
        "allocator function `odd` has the type (i32, f32) -> (), and should be (pointer) or (pointer, size) or (pointer, size, align) -> (), each an i32"
    );
    assert_error!(
        named("alloc", "dealloc"),
        Error::Config(_),
        "allocator function `dealloc` is told an alignment, and `alloc` is not; name the one that it belongs to"
    );
    assert_error!(
        named("alloc", "gone"),
        Error::Config(_),
        "allocator function `gone`: the guest exports no such function"
    );
}

/// A trap in the allocator is told with the function that needed it.
#[test]
fn a_trap_in_the_allocator_names_who_needed_it() {
    let desk = Desk::new();
    let fields = r#"(memory 4) (func (export "malloc") (param i32) (result i32) unreachable)
        (func (export "free") (param i32))"#;
    for name in ["run", "text"] {
        let guest = guest(&desk, fields, Place::Auto).unwrap();
        let error = if name == "run" {
            fails(&mut call(&guest, "run", 1))
        } else {
            let Texts(text) = guest.exports().unwrap();
            fails(&mut text.call(("a title".to_owned(), ())))
        };
        let told = error.to_string();
        let expected = format!("`{name}`: the guest's allocator `malloc` trapped");
        assert!(told.starts_with(&expected), "{told}");
        assert!(block_on(guest.is_poisoned()).unwrap());
    }
}

#[test]
fn a_value_without_an_allocator_says_how_to_get_one() {
    let desk = Desk::new();
    let guest = guest(&desk, "(memory 1)", Place::Auto).unwrap();
    let error = guest.try_with(|cx| cx.place(b"a title").unwrap_err()).unwrap();
    assert_error!(
        error,
        Error::NoRoom { what: "a value", size: 7, .. },
        "no room for a value of 7 bytes in the guest: it exports no allocator; export one, or name it with `Builder::place`"
    );
}
