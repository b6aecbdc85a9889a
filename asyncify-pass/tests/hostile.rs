//! Modules that nobody writes: an answer or an error, and never a panic.

use asyncify_pass::{Error, Pass, Yields};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, Function, FunctionSection, ImportSection, Module,
    TypeSection, ValType,
};

/// A module with one function, which may call the suspending import 0.
fn module(locals: u32, code: impl FnOnce(&mut wasm_encoder::InstructionSink<'_>)) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import("env", "wait", EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut bodies = CodeSection::new();
    let mut body = Function::new([(locals, ValType::I64)]);
    code(&mut body.instructions());
    body.instructions().end();
    bodies.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&bodies);
    module.finish()
}

/// The answer, which is a valid module, or why there is none.
fn answer(wasm: &[u8], yields: Yields) -> Result<usize, Error> {
    let instrumented = Pass::new().suspending("env", "wait").yields(yields).run(wasm)?;
    let mut validator = wasmparser::Validator::new();
    validator.validate_all(instrumented.wasm()).unwrap();
    Ok(instrumented.wasm().len())
}

#[test]
fn constructs_within_each_other_are_answered_or_refused() {
    for (depth, refused) in [(100, false), (3_000, true)] {
        let wasm = module(1, |code| {
            for _ in 0..depth {
                code.loop_(BlockType::Empty).call(0);
            }
            for _ in 0..depth {
                code.local_get(0).i64_eqz().br_if(0).end();
            }
        });
        let answer = answer(&wasm, Yields::None);
        assert_eq!(matches!(answer, Err(Error::Unsupported { .. })), refused, "{answer:?}");
    }
    let wasm = module(1, |code| {
        for _ in 0..1_000 {
            code.block(BlockType::Empty).call(0);
        }
        for _ in 0..1_000 {
            code.end();
        }
    });
    assert!(answer(&wasm, Yields::None).is_ok());
}

#[test]
fn locals_and_calls_by_the_thousand_are_answered_or_refused() {
    let many = module(49_000, |code| {
        for local in 0..2_000 {
            code.call(0).local_get(local).drop();
        }
    });
    assert!(matches!(answer(&many, Yields::None), Ok(_) | Err(Error::Unsupported { .. })));
    let calls = module(1, |code| {
        for _ in 0..70_000 {
            code.call(0);
        }
    });
    assert!(matches!(answer(&calls, Yields::None), Err(Error::Unsupported { .. })));
}

/// Wherever a module is cut off or changed, it is refused, or still one.
#[test]
fn any_bytes_are_refused_or_answered() {
    let wasm = module(2, |code| {
        code.block(BlockType::Result(ValType::I64)).call(0).i64_const(7).end().local_set(1);
        code.loop_(BlockType::Empty).call(0).local_get(1).i64_eqz().br_if(0).end();
    });
    for end in 0..wasm.len() {
        let _ = answer(&wasm[..end], Yields::Everywhere);
    }
    for at in 0..wasm.len() {
        for bit in 0..8 {
            let mut changed = wasm.clone();
            changed[at] ^= 1 << bit;
            let _ = answer(&changed, Yields::Everywhere);
        }
    }
}

#[test]
fn operands_below_a_tail_call_of_an_import_stay_behind() {
    let wasm = module(1, |code| {
        code.i32_const(0).local_get(0).return_call(0);
    });
    for yields in [Yields::None, Yields::Everywhere] {
        assert!(answer(&wasm, yields).is_ok());
    }
}

#[test]
fn operands_and_locals_times_calls_are_answered_or_refused() {
    let below = module(1, |code| {
        for _ in 0..5_000 {
            code.i64_const(1);
        }
        for _ in 0..5_000 {
            code.block(BlockType::Empty).end();
        }
        for _ in 0..5_000 {
            code.drop();
        }
        code.call(0);
    });
    assert!(answer(&below, Yields::None).is_ok());
    let operands = module(1, |code| {
        for _ in 0..900 {
            code.i64_const(1);
        }
        for _ in 0..10_000 {
            code.call(0);
        }
        for _ in 0..900 {
            code.drop();
        }
    });
    assert!(matches!(answer(&operands, Yields::None), Err(Error::Unsupported { .. })));
    let locals = module(2_000, |code| {
        for _ in 0..10_000 {
            code.call(0);
        }
        for local in 0..2_000 {
            code.local_get(local).drop();
        }
    });
    assert!(matches!(answer(&locals, Yields::None), Err(Error::Unsupported { .. })));
}
