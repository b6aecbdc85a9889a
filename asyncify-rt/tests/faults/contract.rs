//! The faults that an instrumented guest can commit against Asyncify's contract.

use asyncify_rt::private::{Direct, ParamInfo, Val as ByValue};
use asyncify_rt::{AsyncImports, Call, Error, Guest, ImportInfo};
use std::sync::Arc;
use wasmtime::{Engine, FuncType, ValType};

use crate::common::{
    Desk, HINT, RUN, WAIT, assert_error, block_on, call, ends, fails, guest_with, import, module,
    park, ran, trust,
};

const MEDDLES: &str = "the guest waited below `meddles`, which drive Asyncify themselves, that ";

static LOG: ImportInfo = ImportInfo::new::<Direct, i32>(
    "env",
    "log",
    false,
    &[ParamInfo::val::<i32>("line", "i32")],
    "i32",
    "",
);

/// `env.log`, which answers at once and is known to.
fn define_log(imports: &mut AsyncImports<()>) {
    imports.plain::<(ByValue<i32>, ()), Direct, i32, (), _>(&LOG, &Arc::new(()), |(), (x, ())| x);
}

/// The call ends because guest and host disagree, for this reason.
fn is_out_of_step(call: &mut Call<(i32,)>, function: &str, reason: &str) {
    is_out_of_step_as(call, function, reason, "");
}

/// As [`is_out_of_step`], where the guest itself gives another cause to think of.
fn is_out_of_step_as(call: &mut Call<(i32,)>, function: &str, reason: &str, cause: &str) {
    assert_error!(
        fails(call),
        Error::StateOutOfStep { function: named, .. } if named == function,
        format!("`{function}`: {reason}; it may be that {cause}{HINT}")
    );
}

/// As [`is_out_of_step`], for a call that parks and is answered first.
fn resumes_out_of_step(desk: &Desk, guest: &Guest, function: &str, reason: &str) {
    let mut parked = call(guest, function, 5);
    park(&mut parked);
    desk.answer(5);
    is_out_of_step(&mut parked, function, reason);
}

/// A guest whose frames may lack what the pass does: nobody looks beforehand.
fn trusted(desk: &Desk, imports: &str, fields: &str) -> Guest {
    let engine = Engine::default();
    let module = module(&engine, &format!("{WAIT} {imports} (memory 1) {RUN} {fields}"));
    let mut hosts = desk.imports(&engine);
    if imports.contains("\"log\"") {
        define_log(&mut hosts);
    }
    if imports.contains("\"dynamic\"") {
        let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
        let desk = desk.clone();
        hosts.define_plain("env", "dynamic", ty, move |_, params| {
            drop(desk.wait(params[0].unwrap_i32()));
            Ok(params.to_vec())
        });
    }
    if imports.contains("\"other\"") {
        desk.define(&mut hosts, &engine, "other");
    }
    trust(&module, hosts)
}

/// A fault poisons; when that is cleared, the guest works again.
fn recovers(desk: &Desk, guest: &Guest) {
    assert!(block_on(guest.is_poisoned()).unwrap());
    block_on(guest.clear_poison()).unwrap();
    let mut run = call(guest, "run", 50);
    park(&mut run);
    desk.answer(50);
    assert_eq!(ends(&mut run), (ran(50),));
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

/// `outer(x)` is not instrumented: it goes on to the import `name` when `run` has suspended.
fn runs_on_into(name: &str) {
    let desk = Desk::new();
    let import = format!(r#"(import "env" "{name}" (func $next (param i32) (result i32)))"#);
    let fields = r#"(func (export "outer") (param i32) (result i32)
        (call $next (call $run (local.get 0))))"#;
    let guest = trusted(&desk, &import, fields);
    let reached = format!("env.{name}");
    assert_error!(
        fails(&mut call(&guest, "outer", 5)),
        Error::FrameNotInstrumented { function, import, suspended, .. }
            if (&**function, &**import, &**suspended) == ("outer", &*reached, "env.wait"),
        format!("`outer` reached import `{reached}` while its stack was unwound: a function on the way to `env.wait` ran on; it may be that it waited below `outer`, left out of the instrumentation, that {HINT}")
    );
    assert_eq!(desk.asked(), [5], "the other import does nothing");
    assert_eq!(desk.dropped(), 1);
    recovers(&desk, &guest);
}

#[test]
fn a_frame_that_runs_on_into_a_plain_import_is_told() {
    runs_on_into("log");
    runs_on_into("dynamic");
}

#[test]
fn a_frame_that_runs_on_into_a_suspending_import_is_told() {
    runs_on_into("other");
}

#[test]
fn an_export_that_leaves_no_frame_is_told() {
    let desk = Desk::new();
    let fields = r#"(func (export "bare") (param i32) (result i32) (call $wait (local.get 0)))"#;
    let guest = trusted(&desk, "", fields);
    is_out_of_step(
        &mut call(&guest, "bare", 5),
        "bare",
        "`env.wait` suspended, and no frame was unwound",
    );
    recovers(&desk, &guest);
}

/// `astray(x)` waits, and is then rewound into another import.
const ASTRAY: &str = r#"
    (func (export "astray") (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (drop (call $pop)) (return (call $elsewhere (i32.const 9)))))
      (local.set $answer (call $wait (local.get $x)))
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (local.get $answer))"#;

fn goes_astray(elsewhere: &str) {
    let desk = Desk::new();
    let import =
        format!(r#"(import "env" "{elsewhere}" (func $elsewhere (param i32) (result i32)))"#);
    let guest = trusted(&desk, &import, ASTRAY);
    resumes_out_of_step(
        &desk,
        &guest,
        "astray",
        &format!("it was rewound into `env.{elsewhere}`, but it had suspended in `env.wait`"),
    );
    assert_eq!(desk.asked(), [5], "the other import does nothing");
    recovers(&desk, &guest);
}

#[test]
fn a_call_that_is_rewound_into_a_plain_import_is_told() {
    goes_astray("log");
    goes_astray("dynamic");
}

#[test]
fn a_call_that_is_rewound_into_another_suspending_import_is_told() {
    goes_astray("other");
}

#[test]
fn a_cancelled_call_that_is_rewound_into_another_import_is_told() {
    let desk = Desk::new();
    let import = r#"(import "env" "other" (func $elsewhere (param i32) (result i32)))"#;
    let guest = trusted(&desk, import, ASTRAY);
    let mut astray = call(&guest, "astray", 5);
    park(&mut astray);
    astray.cancel(&[wasmtime::Val::I32(1)]).unwrap();
    is_out_of_step(
        &mut astray,
        "astray",
        "it was rewound into `env.other`, but it had suspended in `env.wait`",
    );
}

static ONE: ImportInfo = typed_info("wait");
static OTHER: ImportInfo = typed_info("other");

const fn typed_info(name: &'static str) -> ImportInfo {
    let params: &[ParamInfo] = const { &[ParamInfo::val::<i32>("tag", "i32")] };
    ImportInfo::new::<Direct, i32>("env", name, true, params, "i32", "")
}

/// Two typed imports of the very same types: only their names tell them apart.
#[test]
fn typed_imports_of_the_same_types_are_not_taken_for_each_other() {
    let desk = Desk::new();
    let engine = Engine::default();
    let imports = r#"(import "env" "other" (func $elsewhere (param i32) (result i32)))"#;
    let module = module(&engine, &format!("{WAIT} {imports} (memory 1) {RUN} {ASTRAY}"));
    let mut hosts = AsyncImports::new();
    for info in [&ONE, &OTHER] {
        hosts.suspending::<(ByValue<i32>, ()), Direct, i32, _, _, _>(
            info,
            &Arc::new(desk.clone()),
            |desk, (tag, ())| async move {
                let answer = desk.wait(tag).await;
                (desk, answer, ((), ()))
            },
        );
    }
    let guest = trust(&module, hosts);
    resumes_out_of_step(
        &desk,
        &guest,
        "astray",
        "it was rewound into `env.other`, but it had suspended in `env.wait`",
    );
    recovers(&desk, &guest);
}

#[test]
fn a_call_that_returns_without_reaching_its_import_is_told() {
    let desk = Desk::new();
    let fields = r#"
        (func (export "never") (param $x i32) (result i32) (local $answer i32)
          (if REWINDING (then (return (call $pop))))
          (local.set $answer (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))"#;
    let guest = guest_with(&desk, fields);
    resumes_out_of_step(
        &desk,
        &guest,
        "never",
        "it returned without having been rewound into `env.wait`, where it had suspended",
    );
    recovers(&desk, &guest);
}

#[test]
fn an_import_that_is_reached_before_all_frames_are_back_is_told() {
    let desk = Desk::new();
    let fields = r#"
        (func (export "early") (param $x i32) (result i32) (local $answer i32)
          (local.set $answer (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
          (local.get $answer))"#;
    let guest = trusted(&desk, "", fields);
    let mut parked = call(&guest, "early", 5);
    park(&mut parked);
    desk.answer(5);
    is_out_of_step_as(
        &mut parked,
        "early",
        "not all frames were rewound before `env.wait` was reached",
        "it waited below `early`, left out of the instrumentation, that ",
    );
    recovers(&desk, &guest);
}

#[test]
fn a_guest_that_writes_its_own_state_in_a_call_from_the_host_is_told() {
    for end in ["", "unreachable"] {
        let desk = Desk::new();
        let fields = format!(
            r#"(func (export "meddles") (global.set $state (i32.const 1)) {end})
            (func (export "five") (result i32)
              (if UNWINDING (then (return (i32.const 0)))) (i32.const 5))"#
        );
        let guest = guest_with(&desk, &fields);
        let error = guest.try_with(|cx| cx.call::<(), ()>("meddles", ()).unwrap_err()).unwrap();
        if end.is_empty() {
            assert_error!(
                error,
                Error::StateOutOfStep { function, .. } if function == "meddles",
                format!("`meddles`: Asyncify's state is not `Normal`, as the host left it; it may be that {MEDDLES}{HINT}")
            );
        }
        recovers(&desk, &guest);
        let five = guest.try_with(|cx| cx.call::<(), i32>("five", ()).unwrap());
        assert_eq!(five.unwrap(), 5);
    }
}

#[test]
fn a_guest_that_writes_its_own_state_is_told() {
    for state in [1, 2, 77] {
        let desk = Desk::new();
        let fields = format!(
            r#"(func (export "meddles") (param i32) (result i32)
                 (global.set $state (i32.const {state})) (i32.const 0))"#
        );
        let guest = guest_with(&desk, &fields);
        is_out_of_step_as(
            &mut call(&guest, "meddles", 0),
            "meddles",
            "Asyncify's state is not `Normal`, as the host left it",
            MEDDLES,
        );
        recovers(&desk, &guest);
    }
}

/// `unwinds(x)` waits, and does `also` when it is unwound.
fn unwinds(also: &str) -> String {
    format!(
        r#"(func (export "unwinds") (param $x i32) (result i32)
          (drop (call $wait (local.get $x)))
          (if UNWINDING (then (call $push (local.get $x)) {also}))
          (i32.const 0))"#
    )
}

#[test]
fn a_guest_that_ends_the_unwinding_itself_is_told() {
    let desk = Desk::new();
    let guest = trusted(&desk, "", &unwinds("(global.set $state (i32.const 0))"));
    is_out_of_step_as(
        &mut call(&guest, "unwinds", 5),
        "unwinds",
        "Asyncify's state is not `Unwinding`, as the host left it",
        "the guest waited below `unwinds`, which drive Asyncify themselves, that ",
    );
    recovers(&desk, &guest);
}

#[test]
fn frames_that_end_below_the_window_are_told() {
    let desk = Desk::new();
    let guest = trusted(&desk, "", &unwinds("(i32.store (global.get $data) (i32.const 0))"));
    is_out_of_step_as(
        &mut call(&guest, "unwinds", 5),
        "unwinds",
        "the frames end at 0x0, outside the window",
        "it waited below `unwinds`, left out of the instrumentation, that ",
    );
    recovers(&desk, &guest);
}

#[test]
fn frames_that_end_far_beyond_the_window_are_an_overflow() {
    let desk = Desk::new();
    let guest = trusted(&desk, "", &unwinds("(i32.store (global.get $data) (i32.const -16))"));
    let error = fails(&mut call(&guest, "unwinds", 5));
    assert!(matches!(error, Error::WindowTooSmall { poisoned: true, .. }), "{error:?}");
    assert!(block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn a_start_function_that_reaches_a_suspending_import_is_told() {
    let engine = Engine::default();
    let fields = r#"(import "env" "wait" (func $wait (result i32)))
        (memory 1) (start $begin)
        (func $begin (drop (global.get $state)) (drop (call $wait)))"#;
    let polled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut imports = AsyncImports::new();
    let count = Arc::clone(&polled);
    import(&mut imports, &engine, "wait", &[], &[ValType::I32], move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { Ok(vec![wasmtime::Val::I32(1)]) }
    });
    let module = module(&engine, fields);
    let builder = Guest::builder(&module).async_imports(imports);
    assert_error!(
        block_on(builder.trust_instrumentation().instantiate()).unwrap_err(),
        Error::StartFunction { import } if import == "env.wait",
        "the module's start function reached `env.wait`, which suspends, and a start function cannot be unwound; do that work in an export, and name it with `Builder::initialize`"
    );
    assert_eq!(polled.load(std::sync::atomic::Ordering::SeqCst), 0);
}
