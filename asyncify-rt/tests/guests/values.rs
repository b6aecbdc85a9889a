//! Every kind of value across a suspension: `values.wasm`, `memory64.wasm`, `yielding.wasm`.

use std::sync::{Arc, Mutex};

use asyncify_rt::private::Values;
use asyncify_rt::{
    AsyncImports, Error, FromGuest, Guest, ImportResult, Place, StackPointer, TypedAsyncFunction,
};
use futures::future::join_all;
use wasmtime::{Config, Engine, FuncType, V128, Val, ValType};

use crate::common::{
    Desk, answer, block_on, call, ends, example, import, instantiate, park, yield_now,
    yielding_wait,
};

/// Ready at once, after one yield, after several.
const YIELDS: [u32; 3] = [0, 1, 4];

async fn yields(n: u32) {
    for _ in 0..n {
        yield_now().await;
    }
}

fn wait_i64(value: i64) -> i64 {
    value.wrapping_mul(-3).wrapping_add(1 << 40)
}

fn wait_f32(value: f32) -> f32 {
    value * -2.5
}

fn wait_f64(value: f64) -> f64 {
    value * 1.25 - 3.0
}

fn wait_v128(value: u128) -> u128 {
    !value.rotate_left(17)
}

fn wait_pair((a, b): (i32, i64)) -> (i64, f64) {
    (b.wrapping_mul(a.into()), f64::from(a) / 8.0)
}

/// The imports of `values.wasm`.
fn imports(engine: &Engine, n: u32) -> AsyncImports<()> {
    use ValType::{F32, F64, I32, I64, V128 as Vector};
    let mut imports = yielding_wait(engine, n);
    let one = |imports: &mut AsyncImports<()>, name: &str, ty: ValType, body: fn(&Val) -> Val| {
        import(
            imports,
            engine,
            name,
            std::slice::from_ref(&ty),
            std::slice::from_ref(&ty),
            move |params| async move {
                yields(n).await;
                Ok(vec![body(&params[0])])
            },
        );
    };
    one(&mut imports, "wait_i64", I64, |value| Val::I64(wait_i64(value.unwrap_i64())));
    one(&mut imports, "wait_f32", F32, |value| wait_f32(value.unwrap_f32()).into());
    one(&mut imports, "wait_f64", F64, |value| wait_f64(value.unwrap_f64()).into());
    one(&mut imports, "wait_v128", Vector, |value| {
        Val::V128(wait_v128(value.unwrap_v128().as_u128()).into())
    });
    import(&mut imports, engine, "wait_pair", &[I32, I64], &[I64, F64], move |params| async move {
        yields(n).await;
        let (a, b) = wait_pair((params[0].unwrap_i32(), params[1].unwrap_i64()));
        Ok(vec![Val::I64(a), b.into()])
    });
    imports
}

fn guest(engine: &Engine, yields: u32) -> Guest {
    instantiate(&example(engine, "values.wasm"), imports(engine, yields))
}

fn typed<P, R>(guest: &Guest, name: &str) -> TypedAsyncFunction<P, R>
where
    P: Values + asyncify_rt::private::Concat<(), Out = P>,
    R: Values + FromGuest<Abi = R> + asyncify_rt::private::ResultAbi<Values = R>,
{
    guest.all_exports().typed(name).unwrap()
}

fn run<P, R>(guest: &Guest, name: &str, params: P) -> R
where
    P: Values + asyncify_rt::private::Concat<(), Out = P>,
    R: Values + FromGuest<Abi = R> + asyncify_rt::private::ResultAbi<Values = R>,
{
    block_on(typed::<P, R>(guest, name).call(params)).unwrap()
}

fn bits(value: V128) -> u128 {
    value.as_u128()
}

#[test]
fn each_type_comes_through_an_import_unchanged() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        for x in [0, 1, -1, i32::MIN, i32::MAX] {
            assert_eq!(run::<_, (i32,)>(&guest, "echo_i32", (x,)), (answer(x),));
        }
        for x in [0, -1, i64::MIN, i64::MAX, 1 << 33] {
            assert_eq!(run::<_, (i64,)>(&guest, "echo_i64", (x,)), (wait_i64(x),));
        }
        for x in [0.0, -0.0, f32::MIN_POSITIVE, f32::INFINITY, 1.5e-42] {
            let (echo,) = run::<_, (f32,)>(&guest, "echo_f32", (x,));
            assert_eq!(echo.to_bits(), wait_f32(x).to_bits());
        }
        for x in [0.0, -0.0, f64::MAX, f64::NEG_INFINITY, 5e-324] {
            let (echo,) = run::<_, (f64,)>(&guest, "echo_f64", (x,));
            assert_eq!(echo.to_bits(), wait_f64(x).to_bits());
        }
        for x in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978] {
            let (echo,) = run::<(V128,), (V128,)>(&guest, "echo_v128", (x.into(),));
            assert_eq!(bits(echo), wait_v128(x));
        }
        assert_eq!(run::<_, (i64, f64)>(&guest, "echo_pair", (5, -7_i64)), wait_pair((5, -7)));
    }
}

#[test]
fn parameters_locals_results_and_operands_outlive_a_suspension() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        let params = (41, -(1_i64 << 35), 0.5_f32, 1024.125_f64);
        let sum = 41.0 - f64::from(2_u32.pow(31)) * 16.0 + 0.5 + 1024.125 + f64::from(answer(41));
        assert_eq!(run::<_, (f64,)>(&guest, "params", params).0.to_bits(), sum.to_bits());

        let (lanes,) = run::<_, (V128,)>(&guest, "vector", (7_i32,));
        let expected = (0..4_u128).rev().fold(0, |all, lane| {
            let value = answer(7) + 7 + i32::try_from(lane).unwrap();
            all << 32 | u128::from(value.cast_unsigned())
        });
        assert_eq!(bits(lanes), expected);

        let (p, q) = wait_pair((3, 1 << 34));
        let w = answer(3);
        let several = run::<_, (i64, f64, i32)>(&guest, "several", (3, 1_i64 << 34));
        assert_eq!(several, (p + (1 << 34), q + f64::from(w), w));

        let operands = answer(9) - (answer(10) - answer(11));
        assert_eq!(run::<_, (i32,)>(&guest, "operands", (9,)), (operands,));
    }
}

fn looped(seed: i32, n: i32) -> i32 {
    (0..n).fold(seed, |t, i| t.wrapping_mul(31).wrapping_add(answer(i)))
}

#[test]
fn a_loop_counts_on_over_many_suspensions() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        assert_eq!(run::<_, (i32,)>(&guest, "loop", (17, 1_000)), (looped(17, 1_000),));
        let parks = if n == 0 { 0 } else { 1_000 };
        assert_eq!(guest.try_stats().unwrap().suspensions, parks);
    }
}

#[test]
fn calls_through_a_table_suspend() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        for (which, expected) in
            [(0, 2 * answer(6)), (1, 36), (2, answer(6) + answer(7)), (3, answer(6))]
        {
            let answered = run::<_, (i32,)>(&guest, "indirect", (which, 6));
            assert_eq!(answered, (expected + 6,), "entry {which}");
        }
    }
}

#[test]
fn memory_may_grow_around_a_suspension_and_while_a_call_is_parked() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        let grown = run::<_, (i32,)>(&guest, "grow_around", (3,));
        assert_eq!(grown, (answer(1) + answer(2),));
    }
    let desk = Desk::new();
    let mut imports = imports_answered_by(&desk, &engine);
    let guest = instantiate(&example(&engine, "values.wasm"), std::mem::take(&mut imports));
    let mut grows = call(&guest, "grow_around", 2);
    let mut loops = typed::<_, (i32,)>(&guest, "loop").call((5, 2));
    park(&mut grows);
    park(&mut loops);
    let before = guest.try_with(|cx| cx.call::<(i32,), i32>("grow", (50,))).unwrap().unwrap();
    let after = guest.try_with(|cx| cx.call::<(), i32>("pages", ())).unwrap().unwrap();
    assert_eq!(after, before + 50);
    desk.answer(1);
    park(&mut grows);
    desk.answer(0);
    park(&mut loops);
    desk.answer(2);
    assert_eq!(ends(&mut grows), (answer(1) + answer(2),));
    desk.answer(1);
    assert_eq!(ends(&mut loops), (looped(5, 2),));
}

/// `wait` is the desk's; the others are ready at once.
fn imports_answered_by(desk: &Desk, engine: &Engine) -> AsyncImports<()> {
    let mut all = desk.imports(engine);
    for (name, params, results) in [
        ("wait_i64", vec![ValType::I64], vec![ValType::I64]),
        ("wait_f32", vec![ValType::F32], vec![ValType::F32]),
        ("wait_f64", vec![ValType::F64], vec![ValType::F64]),
        ("wait_v128", vec![ValType::V128], vec![ValType::V128]),
        ("wait_pair", vec![ValType::I32, ValType::I64], vec![ValType::I64, ValType::F64]),
    ] {
        import(&mut all, engine, name, &params, &results, |_| async { unreachable!() });
    }
    all
}

/// What `deep(n)` returns.
fn deep(n: u32) -> f64 {
    (1..=n).fold(f64::from(answer(0)), |below, n| {
        below + (f64::from(n) * f64::from(n) + f64::from(n) / 2.0 + f64::from(n ^ 0x55))
    })
}

#[test]
fn a_recursion_of_1000_frames_suspends() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        for depth in [0, 1, 10, 1_000] {
            let (sum,) = run::<_, (f64,)>(&guest, "deep", (depth,));
            assert_eq!(sum.to_bits(), deep(depth).to_bits(), "{depth} frames");
        }
    }
}

#[test]
fn a_recursion_of_5000_frames_suspends_with_a_larger_stack_and_window() {
    let mut config = Config::new();
    // No call of ours runs on such a stack, but the engine wants it to be no smaller.
    config.async_stack_size(4 << 20).max_wasm_stack(4 << 20);
    let engine = Engine::new(&config).unwrap();
    // The thread must have what the engine is promised.
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let test = move || {
        let module = example(&engine, "values.wasm");
        let builder =
            || Guest::builder(&module).async_imports(imports(&engine, 1)).place(Place::Grow);
        let guest = block_on(builder().window_size(1 << 20).instantiate()).unwrap();
        assert_eq!(run::<_, (f64,)>(&guest, "deep", (5_000,)).0.to_bits(), deep(5_000).to_bits());
        let used = guest.try_stats().unwrap().most_window_bytes;
        assert!(used > 64 << 10, "{used}");

        // With the default window, and the slack behind it, the guest says what it needs.
        let guest = block_on(builder().instantiate()).unwrap();
        let error = block_on(typed::<_, (f64,)>(&guest, "deep").call((5_000,))).unwrap_err();
        let Error::WindowTooSmall { needed, size, poisoned, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((size, poisoned), (64 << 10, false), "the window lies at the memory's end");
        assert!(needed > size);
        assert_eq!(run::<_, (f64,)>(&guest, "deep", (5_000,)).0.to_bits(), deep(5_000).to_bits());
    };
    thread.spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_recursion_that_is_too_deep_for_the_stack_is_a_trap() {
    let engine = Engine::default();
    let guest = guest(&engine, 1);
    let error = block_on(typed::<_, (f64,)>(&guest, "deep").call((1_000_000,))).unwrap_err();
    let trap = error.downcast_ref::<wasmtime::Trap>();
    assert_eq!(trap, Some(&wasmtime::Trap::StackOverflow));
    assert!(matches!(&error, Error::StackOverflow { function, .. } if function == "deep"));
    assert!(error.to_string().contains("Config::max_wasm_stack"), "{error}");
}

#[test]
fn calls_of_every_kind_run_in_one_instance_at_once() {
    let engine = Engine::default();
    for n in YIELDS {
        let guest = guest(&engine, n);
        let (loops, depth) =
            (typed::<_, (i32,)>(&guest, "loop"), typed::<_, (f64,)>(&guest, "deep"));
        let all = async {
            let loops = join_all((0..20).map(|i| loops.call((i, i))));
            let depths = join_all((0..20_u32).map(|i| depth.call((i,))));
            futures::join!(loops, depths)
        };
        let (loops, depths) = block_on(all);
        for (i, total) in (0..).zip(loops) {
            assert_eq!(total.unwrap(), (looped(i, i),));
        }
        for (i, sum) in (0..).zip(depths) {
            assert_eq!(sum.unwrap().0.to_bits(), deep(i).to_bits());
        }
        assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}

#[test]
fn a_64_bit_memory_is_unwound_into() {
    let engine = Engine::default();
    let module = example(&engine, "memory64.wasm");
    for n in YIELDS {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut imports = yielding_wait(&engine, n);
        let log = Arc::clone(&lines);
        let ty = FuncType::new(&engine, [ValType::I64, ValType::I64], []);
        imports.define("env", "log", ty, move |cx, params| {
            let at = usize::try_from(params[0].unwrap_i64()).unwrap();
            let len = usize::try_from(params[1].unwrap_i64()).unwrap();
            log.lock().unwrap().push(String::from_utf8(cx.memory()[at..at + len].to_vec())?);
            Ok(ImportResult::Sync(Vec::new()))
        });
        let builder = Guest::builder(&module).async_imports(imports).trust_instrumentation();
        let guest = block_on(builder.instantiate()).unwrap();
        let sum = typed::<(i32,), (i64,)>(&guest, "sum");
        let (first, second) = block_on(async { futures::join!(sum.call((50,)), sum.call((50,))) });
        let expected: i64 = (0..50).map(|i| i64::from(answer(i))).sum();
        assert_eq!((first.unwrap().0, second.unwrap().0), (expected, expected));
        assert_eq!(*lines.lock().unwrap(), ["all answers are in", "all answers are in"]);
        if n > 0 {
            assert!(guest.try_stats().unwrap().window_bytes > 0);
        }
    }
}

#[test]
fn a_guest_without_a_shadow_stack_is_known_as_one() {
    let engine = Engine::default();
    let module = example(&engine, "yielding.wasm");
    assert_eq!(module.findings().stack_pointer(), &StackPointer::Absent);
    let mut imports = AsyncImports::new();
    import(&mut imports, &engine, "yield_now", &[], &[], |_| async {
        yield_now().await;
        Ok(vec![])
    });
    import(&mut imports, &engine, "pause", &[], &[ValType::I32], |_| async {
        yield_now().await;
        Ok(vec![Val::I32(1_000)])
    });
    let guest = instantiate(&module, imports);
    let frames = typed::<(i32,), (i32,)>(&guest, "frames");
    let calls =
        async { futures::join!(call(&guest, "spin", 100), frames.call((0,)), frames.call((30,))) };
    let (spun, shallow, deep) = block_on(calls);
    assert_eq!((spun.unwrap(), shallow.unwrap(), deep.unwrap()), ((100,), (1_000,), (1_030,)));
    assert_eq!(guest.try_stats().unwrap().regions, 0);
}
