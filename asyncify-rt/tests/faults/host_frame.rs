//! A host's frame between the guest's cannot be unwound: a suspending import is refused there
//! before it does anything, whether it would have waited or not.

use std::sync::Arc;

use asyncify_rt::private::{Direct, ExportFn, ParamInfo, Val as ByValue};
use asyncify_rt::{
    AsyncImports, Error, ExportInfo, Exports, FromGuest, Guest, GuestCx, ImportInfo, Trap,
};
use wasmtime::Engine;

use crate::common::{
    Desk, RUN, WAIT, assert_error, block_on, call, ends, fails, guest_with, instantiate, module,
    park, ran, trust,
};

const TEXT: &str = "`env.wait` suspends, and was called through a host function, whose frame cannot be unwound; call the guest from an async import instead, or from one marked `#[asyncify(trampoline)]`";

static THROUGH: ImportInfo = ImportInfo::new::<Direct, Result<i32, Trap>>(
    "env",
    "through",
    false,
    &[ParamInfo::val::<i32>("x", "i32")],
    "Result<i32, Trap>",
    "",
);

/// A guest with `outer(x)`, which calls `run` through the host.
fn guest(desk: &Desk) -> Guest {
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "through" (func $through (param i32) (result i32)))
        (memory 1) {RUN}
        (func (export "outer") (param i32) (result i32) (call $through (local.get 0)))
        (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
        (func (export "outer_plain") (param i32) (result i32)
          (i32.add (call $through (i32.sub (i32.const 0) (local.get 0))) (i32.const 1)))"#
    );
    let mut imports: AsyncImports<()> = desk.imports(&engine);
    imports.plain_with_guest::<(ByValue<i32>, ()), Direct, Result<i32, Trap>, (), _>(
        &THROUGH,
        &Arc::new(()),
        |(), cx, (x, ())| {
            let name = if x < 0 { "double" } else { "run" };
            (cx.call::<(i32,), i32>(name, (x,)).map_err(Trap::from), ((), ()))
        },
    );
    instantiate(&module(&engine, &fields), imports)
}

#[test]
fn a_suspending_import_is_refused_behind_a_host_frame_ready_or_not() {
    for ready in [true, false] {
        let desk = Desk::new();
        let guest = guest(&desk);
        if ready {
            desk.answer(5);
        }
        assert_error!(
            fails(&mut call(&guest, "outer", 5)),
            Error::HostFrame { import } if import == "env.wait",
            TEXT
        );
        assert_eq!(desk.asked(), [], "the import's body does not run");
        desk.answer(6);
        assert_eq!(ends(&mut call(&guest, "run", 6)), (ran(6),), "the guest is usable");
    }
}

#[test]
fn a_host_function_may_call_what_does_not_suspend() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut parked = call(&guest, "run", 5);
    park(&mut parked);
    assert_eq!(ends(&mut call(&guest, "outer_plain", 4)), (-7,));
    desk.answer(5);
    assert_eq!(ends(&mut parked), (ran(5),));
}

#[test]
fn a_suspending_import_is_refused_within_guest_with() {
    let desk = Desk::new();
    let guest = guest(&desk);
    desk.answer(5);
    let by_name = |cx: &mut GuestCx<'_, ()>| cx.call::<(i32,), i32>("run", (5,));
    let error = guest.try_with(by_name).unwrap().unwrap_err();
    assert_error!(error, Error::HostFrame { import } if import == "env.wait", TEXT);
    let raw = |cx: &mut GuestCx<'_, ()>| {
        let run = cx.export("run").unwrap().into_func().unwrap();
        let store = cx.store().unwrap();
        let run = run.typed::<i32, i32>(&store).unwrap();
        run.call(store, 5).unwrap_err().downcast::<Error>().unwrap()
    };
    let error = guest.try_with(raw).unwrap();
    assert_error!(error, Error::HostFrame { import } if import == "env.wait", TEXT);
    assert_eq!(desk.asked(), []);
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

/// What `#[asyncify::exports]` would make of a trait with `fn run(&self, x: i32) -> i32`.
struct PlainRun(ExportFn<(ByValue<i32>, ()), Direct, i32>);

impl Exports for PlainRun {
    const NAME: &'static str = "Plain";
    const EXPORTS: &'static [ExportInfo] = &[ExportInfo::new::<Direct, i32>(
        "run",
        false,
        &[ParamInfo::arg_val::<i32>("x", "i32")],
        "i32",
        "",
    )];

    fn from_guest_exports<T: Send + 'static>(
        lookup: &mut asyncify_rt::private::ExportLookup<'_, T>,
    ) -> Option<Self> {
        lookup.function(&Self::EXPORTS[0]).map(Self)
    }
}

#[test]
fn a_plain_export_that_reaches_a_suspending_import_is_told() {
    for ready in [true, false] {
        let desk = Desk::new();
        let guest = guest_with(&desk, "");
        if ready {
            desk.answer(5);
        }
        let run = guest.exports::<PlainRun>().unwrap().0;
        assert_error!(
            fails(&mut run.call_plain((5, ()))),
            Error::MustNotSuspend { function, import }
                if (&**function, &**import) == ("run", "env.wait"),
            "`run` must not suspend, and reached `env.wait`, which suspends; declare it as an `async fn`"
        );
        assert_eq!(desk.asked(), []);
        desk.answer(6);
        assert_eq!(ends(&mut call(&guest, "run", 6)), (ran(6),));
    }
}

/// A text that the guest's own function measures.
struct Measured(i32);

impl FromGuest for Measured {
    type Abi = i32;
    fn from_guest<T: Send + 'static>(cx: &mut GuestCx<'_, T>, abi: i32) -> Result<Self, Trap> {
        Ok(Self(cx.call::<(i32,), i32>("run", (abi,))?))
    }
}

static MEASURE: ImportInfo = ImportInfo::new::<Direct, i32>(
    "env",
    "measure",
    true,
    &[ParamInfo::val::<Measured>("text", "Measured")],
    "i32",
    "",
);

#[test]
fn a_suspending_import_is_refused_while_a_parameter_is_read() {
    let desk = Desk::new();
    let engine = Engine::default();
    let fields = format!(
        r#"{WAIT} (import "env" "measure" (func $measure (param i32) (result i32)))
        (memory 1) {RUN}
        (func (export "outer") (param i32) (result i32)
          (drop (global.get $state)) (call $measure (local.get 0)))"#
    );
    let mut imports: AsyncImports<()> = desk.imports(&engine);
    imports.suspending::<(ByValue<Measured>, ()), Direct, i32, (), _, _>(
        &MEASURE,
        &Arc::new(()),
        |host, (text, ())| async move { (host, text.0, ((), ())) },
    );
    let guest = trust(&module(&engine, &fields), imports);
    assert_error!(
        fails(&mut call(&guest, "outer", 5)),
        Error::HostFrame { import } if import == "env.wait",
        TEXT
    );
    assert_eq!(desk.asked(), []);
}
