//! Values whose conversion does more than read and write: it runs the guest, or it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use asyncify_rt::private::{Direct, ExportFn, ExportLookup, ParamInfo, Ref, Val as ByValue};
use asyncify_rt::{
    AsyncImports, ExportInfo, Exports, FromGuest, Guest, GuestCx, ImportInfo, IntoGuest, Place,
    Trap,
};
use wasmtime::Engine;

use crate::common::{Desk, WAIT, block_on, ends, instantiate, module, poll};

/// An argument that the guest makes itself.
struct Made;

impl IntoGuest for Made {
    type Abi = i32;
    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<i32, Trap> {
        Ok(cx.call::<(), i32>("make", ())?)
    }
}

/// What `#[asyncify::exports]` would make of a trait with `async fn take(&self, made: Made, text: &str) -> i32`.
struct Takes(ExportFn<MadeAndText, Direct, i32>);

type MadeAndText = (ByValue<Made>, (Ref<str>, ()));

impl Exports for Takes {
    const NAME: &'static str = "Takes";
    const EXPORTS: &'static [ExportInfo] = &[ExportInfo::new::<Direct, i32>(
        "take",
        true,
        &[ParamInfo::arg_val::<Made>("made", "Made"), ParamInfo::arg_by_ref::<str>("text", "&str")],
        "i32",
        "",
    )];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        lookup.function(&Self::EXPORTS[0]).map(Self)
    }
}

/// A value that cannot be converted, in either direction.
struct Panics;

impl IntoGuest for Panics {
    type Abi = i32;
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<i32, Trap> {
        panic!("on purpose")
    }
}

impl FromGuest for Panics {
    type Abi = i32;
    fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, _: i32) -> Result<Self, Trap> {
        panic!("on purpose")
    }
}

type Text1 = (Ref<str>, ());
type Text2 = (Ref<str>, (ByValue<Panics>, ()));

/// `give` panics when it has ended, and `take` before it begins.
struct Panicking {
    give: ExportFn<Text1, Direct, Panics>,
    take: ExportFn<Text2, Direct, i32>,
}

const PANICKING_PARAMS: &[ParamInfo] = &[
    ParamInfo::arg_by_ref::<str>("text", "&str"),
    ParamInfo::arg_val::<Panics>("panics", "Panics"),
];

impl Exports for Panicking {
    const NAME: &'static str = "Panicking";
    const EXPORTS: &'static [ExportInfo] = &[
        ExportInfo::new::<Direct, Panics>(
            "give",
            true,
            &[ParamInfo::arg_by_ref::<str>("text", "&str")],
            "Panics",
            "",
        ),
        ExportInfo::new::<Direct, i32>("take", true, PANICKING_PARAMS, "i32", ""),
    ];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        let [give, take] = Self::EXPORTS else { unreachable!() };
        Some(Self { give: lookup.function(give)?, take: lookup.function(take)? })
    }
}

#[test]
fn what_was_placed_is_freed_though_a_conversion_panics() {
    let (engine, desk) = (Engine::default(), Desk::new());
    // How many are not freed is kept at 0.
    let fields = format!(
        r#"{WAIT} (memory (export "memory") 1)
        (func $count (param i32)
          (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))))
        (func (export "malloc") (param i32) (result i32) (call $count (i32.const 1)) (i32.const 1024))
        (func (export "free") (param i32) (call $count (i32.const -1)))
        (func (export "give") (param i32) (param $len i32) (result i32)
          (if REWINDING (then (drop (call $pop))))
          (drop (call $wait (local.get $len)))
          (if UNWINDING (then (call $push (i32.const 0))))
          (i32.const 0))
        (func (export "take") (param i32 i32 i32) (result i32) (i32.const 0))"#
    );
    let builder = Guest::builder(&module(&engine, &fields)).async_imports(desk.imports(&engine));
    let guest = block_on(builder.place(Place::Grow).instantiate()).unwrap();
    let held = || guest.try_with(|cx| cx.read(0, 4).unwrap()[0]).unwrap();
    let Panicking { give, take } = guest.exports().unwrap();
    let mut take = take.call(("a text".to_owned(), (Panics, ())));
    catch_unwind(AssertUnwindSafe(|| drop(poll(&mut take)))).unwrap_err();
    assert_eq!(held(), 0);
    for waits in [true, false] {
        let mut give = give.call(("a text".to_owned(), ()));
        if waits {
            assert!(poll(&mut give).is_pending());
            assert_eq!(held(), 1);
        }
        desk.answer(6);
        catch_unwind(AssertUnwindSafe(|| drop(poll(&mut give)))).unwrap_err();
        assert_eq!(held(), 0);
    }
}

static NAME: ImportInfo =
    ImportInfo::new::<Direct, String>("env", "name", false, &[], "String", "");

#[test]
fn what_an_import_answers_while_an_argument_is_made_stays_the_guests() {
    let engine = Engine::default();
    let mut imports = AsyncImports::<()>::new();
    let host = Arc::new(());
    imports.plain::<(), Direct, String, (), _>(&NAME, &host, |(), ()| "a name".to_owned());
    // `malloc` gives 1024, then 2048; the sum of what was freed is kept at 0.
    let fields = r#"(import "env" "name" (func $name (result i64)))
        (memory (export "memory") 1) (global $top (mut i32) (i32.const 0))
        (func (export "malloc") (param i32) (result i32)
          (global.set $top (i32.add (global.get $top) (i32.const 1024)))
          (global.get $top))
        (func (export "free") (param i32)
          (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))))
        (func (export "make") (result i32) (i32.wrap_i64 (call $name)))
        (func (export "take") (param i32 i32 i32) (result i32) (local.get 0))"#;
    let guest = instantiate(&module(&engine, fields), imports);
    let Takes(take) = guest.exports().unwrap();
    assert_eq!(ends(&mut take.call((Made, ("a text".to_owned(), ())))), 1024);
    let freed = guest.try_with(|cx| i32::from_le_bytes(cx.read(0, 4).unwrap().try_into().unwrap()));
    assert_eq!(freed.unwrap(), 2048);
}
