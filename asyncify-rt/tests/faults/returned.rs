//! What exports return as their own, through an allocator that checks what it is handed.

use asyncify_rt::private::{
    Args, Concat, Direct, ExportFn, ExportLookup, OutPtr, Output, ParamInfo, Ref,
};
use asyncify_rt::{AsyncImports, Errno, Error, ExportInfo, Exports, Guest, Lent};
use wasmtime::{Engine, FuncType};

use crate::common::{Desk, WAIT, assert_error, block_on, instantiate, module, park};

/// `free` traps unless `malloc` has given that very address, once. The next address is kept at 8, and
/// how many are not freed at 12; a constant lies at 16. What `handle` returns is told by the first
/// letter of its argument.
const GUEST: &str = r#"
    (memory (export "memory") 8) (data (i32.const 16) "a literal") (data (i32.const 8) "\00\04")
    (func $mark (param $at i32) (result i32)
      (i32.add (i32.const 0x70000) (i32.shr_u (local.get $at) (i32.const 4))))
    (func $malloc (export "malloc") (param $size i32) (result i32) (local $at i32)
      (local.set $at (i32.load (i32.const 8)))
      (i32.store (i32.const 8) (i32.add (local.get $at)
        (i32.and (i32.add (local.get $size) (i32.const 31)) (i32.const -16))))
      (i32.store8 (call $mark (local.get $at)) (i32.const 1))
      (i32.store (i32.const 12) (i32.add (i32.load (i32.const 12)) (i32.const 1)))
      (local.get $at))
    (func $free (export "free") (param $at i32)
      (if (i32.and (local.get $at) (i32.const 15)) (then unreachable))
      (if (i32.eqz (i32.load8_u (call $mark (local.get $at)))) (then unreachable))
      (i32.store8 (call $mark (local.get $at)) (i32.const 0))
      (i32.store (i32.const 12) (i32.sub (i32.load (i32.const 12)) (i32.const 1))))
    (func (export "live") (result i32) (i32.load (i32.const 12)))
    (func $pack (param $ptr i32) (param $len i32) (result i64)
      (i64.or (i64.extend_i32_u (local.get $ptr))
        (i64.shl (i64.extend_i32_u (local.get $len)) (i64.const 32))))
    (func $heap (result i32) (local $at i32)
      (local.set $at (call $malloc (i32.const 5)))
      (i64.store (local.get $at) (i64.const 0x21_7061_6568))
      (local.get $at))
    (func $is (param $letter i32) (param $ptr i32) (result i32)
      (i32.eq (i32.load8_u (local.get $ptr)) (local.get $letter)))
    (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64) (local $at i32)
      (if (call $is (i32.const 104 (; h ;)) (local.get $ptr))
        (then (return (call $pack (call $heap) (i32.const 5)))))
      (if (call $is (i32.const 97 (; a ;)) (local.get $ptr))
        (then (return (call $pack (local.get $ptr) (local.get $len)))))
      (if (call $is (i32.const 112 (; p ;)) (local.get $ptr))
        (then (return (call $pack (i32.add (local.get $ptr) (i32.const 1))
          (i32.sub (local.get $len) (i32.const 1))))))
      (if (call $is (i32.const 101 (; e ;)) (local.get $ptr))
        (then (return (call $pack (i32.add (local.get $ptr) (local.get $len)) (i32.const 0)))))
      (if (call $is (i32.const 99 (; c ;)) (local.get $ptr))
        (then (return (call $pack (i32.const 16) (i32.const 9)))))
      (if (call $is (i32.const 105 (; i ;)) (local.get $ptr))
        (then (return (call $pack (i32.add (call $heap) (i32.const 1)) (i32.const 4)))))
      (if (call $is (i32.const 102 (; f ;)) (local.get $ptr)) (then
        (local.set $at (call $heap))
        (call $free (local.get $at))
        (return (call $pack (local.get $at) (i32.const 5)))))
      (if (call $is (i32.const 111 (; o ;)) (local.get $ptr))
        (then (return (call $pack (i32.const 0x7fff0000) (i32.const 4)))))
      (if (call $is (i32.const 110 (; n ;)) (local.get $ptr)) (then
        (local.set $at (call $malloc (i32.const 1)))
        (i32.store8 (local.get $at) (i32.const 0xff))
        (return (call $pack (local.get $at) (i32.const 1)))))
      (i64.const 0))
    (func (export "stored") (param $ptr i32) (param $len i32) (param $out i32) (result i32)
      (i64.store (local.get $out) (call $handle (local.get $ptr) (local.get $len)))
      (i32.const 0))
    (func (export "later") (param $ptr i32) (param $len i32) (result i64)
      (if REWINDING (then (local.set $len (call $pop)) (local.set $ptr (call $pop))))
      (drop (call $wait (i32.const 1)))
      (if UNWINDING (then (call $push (local.get $ptr)) (call $push (local.get $len))
        (return (i64.const 0))))
      (call $handle (local.get $ptr) (local.get $len)))"#;

type Of<M, R> = ExportFn<(Ref<str>, ()), M, R>;

/// Each way to bind the same export.
struct Bound {
    handle: Of<Direct, String>,
    coded: Of<Direct, Result<String, Errno>>,
    stored: Of<OutPtr, Result<String, Errno>>,
    later: Of<Direct, String>,
    lent: Of<Direct, Lent<String>>,
    lent_coded: Of<Direct, Result<Lent<String>, Errno>>,
    lent_stored: Of<OutPtr, Result<Lent<String>, Errno>>,
}

const TEXT: &[ParamInfo] = &[ParamInfo::arg_by_ref::<str>("text", "&str")];

impl Exports for Bound {
    const NAME: &'static str = "Bound";
    const EXPORTS: &'static [ExportInfo] = &[
        ExportInfo::new::<Direct, String>("handle", false, TEXT, "String", ""),
        ExportInfo::new::<OutPtr, Result<String, Errno>>("stored", false, TEXT, "String", ""),
        ExportInfo::new::<Direct, String>("later", true, TEXT, "String", ""),
    ];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        let [handle, stored, later] = Self::EXPORTS else { return None };
        Some(Self {
            handle: lookup.function(handle)?,
            coded: lookup.function(handle)?,
            stored: lookup.function(stored)?,
            later: lookup.function(later)?,
            lent: lookup.function(handle)?,
            lent_coded: lookup.function(handle)?,
            lent_stored: lookup.function(stored)?,
        })
    }
}

fn guest(fields: &str) -> (Guest, Bound, Desk) {
    let (engine, desk) = (Engine::default(), Desk::new());
    let guest = instantiate(&module(&engine, &format!("{WAIT} {fields}")), desk.imports(&engine));
    let bound = guest.exports().unwrap();
    (guest, bound, desk)
}

fn live(guest: &Guest) -> i32 {
    guest.try_with(|cx| cx.call::<(), i32>("live", ())).unwrap().unwrap()
}

fn text(of: &str) -> (String, ()) {
    (of.to_owned(), ())
}

/// Every result that is right, with the same allocations left as before.
const RIGHT: [(&str, &str); 6] = [
    ("heap", "heap!"),
    ("argument", "argument"),
    ("part", "art"),
    ("end", ""),
    ("p", ""),
    ("zero", ""),
];

#[test]
fn a_result_is_freed_once_and_an_argument_that_comes_back_is_too() {
    let (guest, bound, desk) = guest(GUEST);
    for (of, expected) in RIGHT {
        assert_eq!(block_on(bound.handle.call(text(of))).unwrap(), expected);
        assert_eq!(block_on(bound.handle.call_plain(text(of))).unwrap(), expected);
        assert_eq!(block_on(bound.coded.call(text(of))).unwrap().unwrap(), expected);
        assert_eq!(block_on(bound.stored.call(text(of))).unwrap().unwrap(), expected);
        assert_eq!(live(&guest), 0, "{of}");
    }
    for (of, expected) in RIGHT {
        let mut later = bound.later.call(text(of));
        let before = live(&guest);
        park(&mut later);
        desk.answer(1);
        assert_eq!(block_on(later).unwrap(), expected);
        // The window is the guest's, too.
        assert_eq!(live(&guest), before.max(1), "{of}");
    }
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn what_is_lent_is_copied_and_stays() {
    let (guest, bound, _) = guest(GUEST);
    for (of, expected) in [("constant", "a literal"), ("argument", "argument"), ("inner", "eap!")] {
        for _ in 0..2 {
            assert_eq!(block_on(bound.lent.call(text(of))).unwrap().0, expected);
            assert_eq!(block_on(bound.lent_coded.call(text(of))).unwrap().unwrap().0, expected);
            assert_eq!(block_on(bound.lent_stored.call(text(of))).unwrap().unwrap().0, expected);
        }
    }
    // Six times the one whose block only the guest can know.
    assert_eq!(live(&guest), 6);
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

fn refused<M, R>(function: &Of<M, R>, of: &str) -> Error
where
    R: Send + std::fmt::Debug + 'static,
    M: Output<R>,
    <(Ref<str>, ()) as Args>::Values: Concat<M::Params>,
{
    block_on(function.call(text(of))).unwrap_err()
}

#[test]
fn a_constant_is_refused_before_it_is_freed() {
    let (guest, bound, _) = guest(GUEST);
    for _ in 0..2 {
        assert_error!(
            refused(&bound.handle, "constant"),
            Error::NotAllocated { function, ptr: 16, source: None } if function == "handle",
            "the result of `handle` must come from the guest's allocator, and 0x10 is in the module's own data; allocate it (in AssemblyScript, `__pin` it), or declare the result as `Lent<_>` if it stays the guest's"
        );
        let error = refused(&bound.stored, "constant");
        assert!(matches!(&error, Error::NotAllocated { function, .. } if function == "stored"));
        assert_eq!(live(&guest), 0);
        assert!(!block_on(guest.is_poisoned()).unwrap());
    }
    // What was told left everything as it was.
    assert_eq!(block_on(bound.lent.call(text("constant"))).unwrap().0, "a literal");
}

#[test]
fn what_the_allocator_does_not_take_is_told_with_the_function_and_the_rule() {
    for of in ["inner", "freed"] {
        let (guest, bound, _) = guest(GUEST);
        let error = refused(&bound.handle, of);
        let Error::NotAllocated { function, ptr, source: Some(source) } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(function, "handle");
        assert!(source.to_string().contains("the guest's allocator"), "{source}");
        assert_eq!(
            error.to_string(),
            format!(
                "the result of `handle` must come from the guest's allocator, and {ptr:#x} could not be freed; allocate it (in AssemblyScript, `__pin` it), or declare the result as `Lent<_>` if it stays the guest's"
            )
        );
        assert!(error.downcast_ref::<wasmtime::Trap>().is_some());
        assert!(block_on(guest.is_poisoned()).unwrap(), "as by any trap");
    }
}

#[test]
fn what_cannot_be_read_is_freed_only_if_it_was_allocated() {
    let (guest, bound, _) = guest(GUEST);
    let error = refused(&bound.handle, "outside");
    assert!(matches!(&error, Error::BadPointer { parameter, .. } if parameter == "result"));
    let error = refused(&bound.handle, "not utf-8");
    assert!(matches!(&error, Error::NotUtf8 { parameter, .. } if parameter == "result"));
    assert_eq!(live(&guest), 0);
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

/// As a heap in an array of the program's is, where the memory is imported.
#[test]
fn a_heap_that_the_module_writes_down_is_a_heap() {
    let zeros = "\\00".repeat(16 << 10);
    let data = format!(r#"(data (i32.const 16) "a literal") (data (i32.const 1024) "{zeros}")"#);
    let fields = GUEST.replace(r#"(data (i32.const 16) "a literal")"#, &data);
    let (guest, bound, _) = guest(&fields);
    for (of, expected) in RIGHT {
        assert_eq!(block_on(bound.handle.call(text(of))).unwrap(), expected);
        assert_eq!(live(&guest), 0, "{of}");
    }
}

/// As AssemblyScript's: an object is pinned or not, a constant too, and `abort` is the host's.
const PINNING: &str = r#"
    (import "env" "abort" (func $abort))
    (memory (export "memory") 8) (data (i32.const 16) "a literal") (data (i32.const 8) "\00\04")
    (func $mark (param $at i32) (result i32)
      (i32.add (i32.const 0x70000) (i32.shr_u (local.get $at) (i32.const 4))))
    (func $new (export "__new") (param $size i32) (param i32) (result i32)
      (i32.load (i32.const 8))
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8))
        (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -16)))))
    (func $pin (export "__pin") (param $at i32) (result i32)
      (if (i32.load8_u (call $mark (local.get $at))) (then (call $abort) unreachable))
      (i32.store8 (call $mark (local.get $at)) (i32.const 1))
      (local.get $at))
    (func (export "__unpin") (param $at i32)
      (if (i32.eqz (i32.load8_u (call $mark (local.get $at)))) (then (call $abort) unreachable))
      (i32.store8 (call $mark (local.get $at)) (i32.const 0)))
    (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (local $at i32)
      (local.set $at (call $new (i32.const 1) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.const 79))
      (if (i32.eq (local.get $len) (i32.const 1)) (then (drop (call $pin (local.get $at)))))
      (if (i32.eq (local.get $len) (i32.const 2)) (then (local.set $at (call $pin (i32.const 16)))))
      (i64.or (i64.extend_i32_u (local.get $at)) (i64.const 0x1_0000_0000)))
    (func (export "stored") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "later") (param i32 i32) (result i64) (i64.const 0))"#;

#[test]
fn a_result_of_assemblyscript_is_pinned() {
    let engine = Engine::default();
    let mut imports = AsyncImports::new();
    imports.define_plain("env", "abort", FuncType::new(&engine, [], []), |_, _| {
        Err(asyncify_rt::Trap::new("abort: the object is not pinned"))
    });
    let guest = instantiate(&module(&engine, PINNING), imports);
    let bound: Bound = guest.exports().unwrap();
    for _ in 0..2 {
        assert_eq!(block_on(bound.handle.call(text("1"))).unwrap(), "O");
        assert_eq!(block_on(bound.handle.call(text("22"))).unwrap(), "a");
    }
    let error = refused(&bound.handle, "not pinned");
    assert!(
        matches!(&error, Error::NotAllocated { function, source: Some(_), .. } if function == "handle"),
        "{error:?}"
    );
    assert!(error.to_string().contains("(in AssemblyScript, `__pin` it)"));
    assert!(format!("{error:?}").contains("abort: the object is not pinned"), "{error:?}");
    assert!(!block_on(guest.is_poisoned()).unwrap());
}
