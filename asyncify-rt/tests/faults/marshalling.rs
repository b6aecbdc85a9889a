//! Bad values between guest and host, through typed and dynamic imports: the function, the
//! parameter and the figures are told.

use std::sync::Arc;

use asyncify_rt::private::{Direct, Mut, ParamInfo, Ref, Val as ByValue};
use asyncify_rt::{
    AsyncImports, Error, Guest, GuestCx, ImportInfo, ImportResult, OutBuf, OutOfBounds, Trap,
};
use wasmtime::{Engine, FuncType, Val, ValType};

use crate::common::{
    Desk, WAIT, assert_error, block_on, call, ends, fails, import, instantiate, module, park,
    yield_now,
};

const fn info(name: &'static str, suspending: bool, params: &'static [ParamInfo]) -> ImportInfo {
    ImportInfo::new::<Direct, i32>("env", name, suspending, params, "i32", "")
}

const TEXT: &[ParamInfo] =
    &[ParamInfo::val::<u32>("level", "u32"), ParamInfo::by_ref::<str>("line", "&str")];
const OUT: &[ParamInfo] =
    &[ParamInfo::val::<u32>("count", "u32"), ParamInfo::by_mut::<OutBuf>("out", "&mut OutBuf")];
static TEXT_PLAIN: ImportInfo = info("text_plain", false, TEXT);
static TEXT_ASYNC: ImportInfo = info("text_async", true, TEXT);
static FILL_PLAIN: ImportInfo = info("fill_plain", false, OUT);
static FILL_ASYNC: ImportInfo = info("fill_async", true, OUT);

type Text = (ByValue<u32>, (Ref<str>, ()));
type Out = (ByValue<u32>, (Mut<OutBuf>, ()));

fn length(text: &str) -> i32 {
    i32::try_from(text.len()).unwrap()
}

/// Each import by its name, called with a number, an address and a length.
fn guest() -> Guest {
    let engine = Engine::default();
    let mut imports = AsyncImports::<()>::new();
    let host = Arc::new(());
    imports
        .plain::<Text, Direct, i32, (), _>(&TEXT_PLAIN, &host, |(), (_, (line, ()))| length(line));
    imports.suspending::<Text, Direct, i32, (), _, _>(
        &TEXT_ASYNC,
        &host,
        |host, (_, (line, ()))| async move {
            yield_now().await;
            (host, length(&line), ((), ((), ())))
        },
    );
    imports.plain::<Out, Direct, i32, (), _>(&FILL_PLAIN, &host, |(), (count, (out, ()))| {
        i32::try_from(out.push(&vec![b'x'; count as usize])).unwrap()
    });
    imports.suspending::<Out, Direct, i32, (), _, _>(
        &FILL_ASYNC,
        &host,
        |host, (count, (mut out, ()))| async move {
            yield_now().await;
            let pushed = out.push(&vec![b'x'; count as usize]);
            (host, i32::try_from(pushed).unwrap(), ((), (out, ())))
        },
    );
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I32, ValType::I32], [ValType::I32]);
    let read = |cx: &mut GuestCx<'_, ()>, params: &[Val]| {
        let [x, ptr, len] = [0, 1, 2].map(|at| params[at].unwrap_i32().cast_unsigned());
        let (ptr, len) = match x.cast_signed() {
            -1 => (ptr, len + 2),
            -2 => (ptr.wrapping_sub(2), len),
            _ => (ptr, len),
        };
        let text = std::str::from_utf8(cx.read(ptr, len)?)?;
        Ok::<_, Trap>(vec![Val::I32(length(text))])
    };
    imports.define("env", "text_dynamic", ty.clone(), move |cx, params| {
        read(cx, params).map(ImportResult::Sync)
    });
    imports.define_plain("env", "text_dynamic_plain", ty, read);
    let names = [
        "text_plain",
        "text_async",
        "fill_plain",
        "fill_async",
        "text_dynamic",
        "text_dynamic_plain",
    ];
    let mut fields = String::new();
    for name in names {
        let import =
            format!(r#"(import "env" "{name}" (func ${name} (param i32 i32 i32) (result i32)))"#);
        fields.push_str(&import);
    }
    fields.push_str(r#"(memory (export "memory") 1) (data (i32.const 8) "ok \u{fc} \ff")"#);
    for name in names {
        let export = format!(
            r#"(func (export "{name}") (param i32 i32 i32) (result i32) (local $answer i32)
              (if REWINDING (then (drop (call $pop))))
              (local.set $answer (call ${name} (local.get 0) (local.get 1) (local.get 2)))
              (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
              (local.get $answer))"#
        );
        fields.push_str(&export);
    }
    instantiate(&module(&engine, &fields), imports)
}

#[test]
fn a_start_functions_plain_imports_see_the_memory() {
    const PARAMS: &[ParamInfo] = &[ParamInfo::by_ref::<str>("line", "&str")];
    static LINE: ImportInfo = ImportInfo::new::<Direct, ()>("env", "line", false, PARAMS, "", "");
    let engine = Engine::default();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    for memory in ["(memory 1)", r#"(import "env" "memory" (memory 1))"#] {
        let mut imports = AsyncImports::<()>::new();
        imports.plain::<(Ref<str>, ()), Direct, (), _, _>(&LINE, &seen, |seen, (line, ())| {
            seen.lock().unwrap().push(line.to_owned());
        });
        let fields = format!(
            r#"(import "env" "line" (func $line (param i32 i32))) {memory}
            (data (i32.const 8) "begun") (start $begin)
            (func $begin (call $line (i32.const 8) (i32.const 5)))"#
        );
        instantiate(&module(&engine, &fields), imports);
        assert_eq!(seen.lock().unwrap().pop().as_deref(), Some("begun"));
    }
}

fn run(guest: &Guest, name: &str, (x, ptr, len): (i32, u32, u32)) -> Result<i32, Error> {
    let function = guest.all_exports().typed::<(i32, u32, u32), (i32,)>(name).unwrap();
    block_on(function.call((x, ptr, len))).map(|(answer,)| answer)
}

#[test]
fn text_is_read_where_the_guest_says() {
    let guest = guest();
    for name in ["text_plain", "text_async", "text_dynamic", "text_dynamic_plain"] {
        assert_eq!(run(&guest, name, (0, 8, 5)).unwrap(), 5);
        assert_eq!(run(&guest, name, (0, 0x10000, 0)).unwrap(), 0, "nothing at the very end");
    }
}

#[test]
fn a_range_outside_the_memory_is_told_with_its_parameter() {
    let guest = guest();
    for (name, parameter) in [
        ("text_plain", "line"),
        ("text_async", "line"),
        ("fill_plain", "out"),
        ("fill_async", "out"),
    ] {
        for (at, length) in [(0xfff8, 16), (0x10001, 0), (0, u32::MAX), (u32::MAX, u32::MAX)] {
            assert_error!(
                run(&guest, name, (0, at, length)).unwrap_err(),
                Error::BadPointer { function, parameter: found, ptr, len, memory_size: 0x10000 }
                    if *function == format!("env.{name}") && found == parameter
                    && (*ptr, *len) == (at.into(), length.into()),
                format!("`env.{name}`: parameter `{parameter}` is {length} bytes at {at:#x}, but the memory ends at 0x10000")
            );
        }
    }
    assert!(!block_on(guest.is_poisoned()).unwrap());
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
}

#[test]
fn text_that_is_not_utf_8_is_told_with_its_parameter() {
    let guest = guest();
    for name in ["text_plain", "text_async"] {
        assert_error!(
            run(&guest, name, (0, 8, 7)).unwrap_err(),
            Error::NotUtf8 { function, parameter, source }
                if *function == format!("env.{name}") && parameter == "line" && source.valid_up_to() == 6,
            format!("`env.{name}`: parameter `line` is not UTF-8: invalid utf-8 sequence of 1 bytes from index 6")
        );
    }
}

/// They have no names: their positions are told.
#[test]
fn what_a_dynamic_import_cannot_read_is_told_with_its_parameter() {
    let guest = guest();
    for (args, parameter) in [
        ((0, 0xfff8, 16), "1"),
        ((0, 0, u32::MAX), "1"),
        // The import reads two bytes more, or before.
        ((-1, 0xfffc, 4), "1"),
        ((-2, 1, 4), "pointer"),
    ] {
        for name in ["text_dynamic", "text_dynamic_plain"] {
            let error = run(&guest, name, args).unwrap_err();
            let Error::BadPointer { function, parameter: found, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!((function, &**found), (&format!("env.{name}"), parameter));
        }
    }
    assert_error!(
        run(&guest, "text_dynamic", (0, 0xfff8, 16)).unwrap_err(),
        Error::BadPointer { ptr: 0xfff8, len: 16, memory_size: 0x10000, .. },
        "`env.text_dynamic`: parameter `1` is 16 bytes at 0xfff8, but the memory ends at 0x10000"
    );
    let range = OutOfBounds { ptr: 0xfff8, len: 16, memory_size: 0x10000 };
    assert_eq!(
        range.to_string(),
        "16 bytes at 0xfff8 are asked for, but the memory ends at 0x10000"
    );
    let error = run(&guest, "text_dynamic", (0, 8, 7)).unwrap_err();
    assert!(error.downcast_ref::<std::str::Utf8Error>().is_some());
    assert!(!block_on(guest.is_poisoned()).unwrap());
}

#[test]
fn a_buffer_is_filled_to_its_capacity_and_not_beyond() {
    let guest = guest();
    for name in ["fill_plain", "fill_async"] {
        for (count, capacity) in [(3, 8), (8, 8), (9, 8), (0, 0), (1, 0)] {
            guest.try_with(|cx| cx.write(100, &[0; 16]).unwrap()).unwrap();
            let written = run(&guest, name, (count, 104, capacity)).unwrap();
            assert_eq!(written.cast_unsigned(), capacity.min(count.cast_unsigned()));
            let bytes = guest.try_with(|cx| cx.read(100, 16).unwrap().to_vec()).unwrap();
            let mut expected = [0; 16];
            expected[4..4 + usize::try_from(written).unwrap()].fill(b'x');
            assert_eq!(bytes, expected);
        }
        assert_eq!(run(&guest, name, (2, 0xfffe, 2)).unwrap(), 2, "up to the memory's end");
    }
}

static NARROW: ImportInfo = ImportInfo::new::<Direct, i32>(
    "env",
    "narrow",
    false,
    &[
        ParamInfo::val::<u8>("byte", "u8"),
        ParamInfo::val::<i16>("short", "i16"),
        ParamInfo::val::<bool>("flag", "bool"),
        ParamInfo::val::<char>("letter", "char"),
    ],
    "i32",
    "",
);

type Narrow = (ByValue<u8>, (ByValue<i16>, (ByValue<bool>, (ByValue<char>, ()))));

#[test]
fn a_value_that_its_type_does_not_have_is_told_with_its_parameter() {
    let engine = Engine::default();
    let mut imports = AsyncImports::<()>::new();
    imports.plain::<Narrow, Direct, i32, (), _>(
        &NARROW,
        &Arc::new(()),
        |(), (byte, (short, (flag, (letter, ()))))| {
            i32::from(byte) + i32::from(short) + i32::from(flag) + i32::from(letter == 'ü')
        },
    );
    let fields = r#"(import "env" "narrow" (func $narrow (param i32 i32 i32 i32) (result i32)))
        (memory 1) (export "narrow" (func $narrow))
        (func (export "call") (param i32 i32 i32 i32) (result i32)
          (call $narrow (local.get 0) (local.get 1) (local.get 2) (local.get 3)))"#;
    let guest = instantiate(&module(&engine, fields), imports);
    let exports = guest.all_exports();
    let call = exports.typed::<(i32, i32, i32, i32), (i32,)>("call").unwrap();
    assert_eq!(ends(&mut call.call((255, -32768, 1, 0xfc))), (255 - 32768 + 2,));
    for (args, parameter, source) in [
        ((256, 0, 0, 0), "byte", "256 is not a `u8`"),
        ((-1, 0, 0, 0), "byte", "4294967295 is not a `u8`"),
        ((0, 32768, 0, 0), "short", "32768 is not a `i16`"),
        ((0, 0, 2, 0), "flag", "2 is not a `bool`"),
        ((0, 0, 0, 0xd800), "letter", "55296 is not a `char`"),
    ] {
        assert_error!(
            fails(&mut call.call(args)),
            Error::BadValue { function, parameter: found, .. }
                if function == "env.narrow" && found == parameter,
            format!("`env.narrow`: parameter `{parameter}`: {source}")
        );
    }
}

#[test]
fn a_dynamic_import_that_answers_other_values_is_told_now_and_later() {
    let engine = Engine::default();
    let run = r#"(func (export "run") (param $x i32) (result i32) (local $answer i32)
        (if REWINDING (then (drop (call $pop))))
        (local.set $answer (call $wait (local.get $x)))
        (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
        (local.get $answer))"#;
    let module = module(&engine, &format!("{WAIT} (memory 1) {run}"));
    for wrong in [vec![], vec![Val::I64(1)], vec![Val::I32(1), Val::I32(2)]] {
        let text = format!(
            "`env.wait`: parameter `result`: it was answered {wrong:?}, and its results are (i32)"
        );
        for yields in [0, 2] {
            let mut imports = AsyncImports::new();
            let answer = wrong.clone();
            import(&mut imports, &engine, "wait", &[ValType::I32], &[ValType::I32], move |_| {
                let answer = answer.clone();
                async move {
                    for _ in 0..yields {
                        yield_now().await;
                    }
                    Ok(answer)
                }
            });
            let guest = instantiate(&module, imports);
            assert_error!(
                block_on(call(&guest, "run", 5)).unwrap_err(),
                Error::BadValue { function, parameter, .. }
                    if function == "env.wait" && parameter == "result",
                text
            );
            assert!(!block_on(guest.is_poisoned()).unwrap());
        }
        let mut imports = AsyncImports::new();
        let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
        imports.define("env", "wait", ty, move |_, _| Ok(ImportResult::Sync(wrong.clone())));
        let guest = instantiate(&module, imports);
        let error = fails(&mut call(&guest, "run", 5));
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn what_an_import_reads_on_resume_is_read_anew() {
    // The guest's memory moves when it grows: an address is all that is kept.
    let desk = Desk::new();
    let engine = Engine::default();
    let mut imports = desk.imports(&engine);
    imports.suspending::<Out, Direct, i32, Desk, _, _>(
        &FILL_ASYNC,
        &Arc::new(desk.clone()),
        |desk, (count, (mut out, ()))| async move {
            let answer = desk.wait(7).await;
            out.push(&vec![b'x'; count as usize]);
            (desk, answer, ((), (out, ())))
        },
    );
    let fields = r#"(import "env" "fill_async" (func $fill (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "run") (param i32) (result i32) (local $answer i32)
          (if REWINDING (then (drop (call $pop))))
          (local.set $answer (call $fill (i32.const 4) (i32.const 0xfffc) (i32.const 4)))
          (if UNWINDING (then (call $push (i32.const 0)) (return (i32.const 0))))
          (i32.load (i32.const 0xfffc)))"#;
    let guest = instantiate(&module(&engine, fields), imports);
    let mut run = call(&guest, "run", 0);
    park(&mut run);
    assert!(ends(&mut call(&guest, "grow", 100)).0 > 0);
    desk.answer(7);
    assert_eq!(ends(&mut run), (i32::from_le_bytes(*b"xxxx"),));
}
