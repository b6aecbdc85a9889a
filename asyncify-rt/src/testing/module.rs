//! The module that a mock is made of.
//!
//! For each import it has one function, which calls the import and does by hand what Binaryen's
//! pass would have added:
//!
//! ```text
//! (func (export "env.fetch") (param …) (result …)
//!   if state = rewinding   data.pos -= 4
//!   call $env.fetch, with the parameters
//!   if state = unwinding   memory[data.pos] = 0; data.pos += 4)
//! ```
//!
//! ```text
//! memory   0      64                1024
//!          | free | window          | placed bytes ...                    end |
//! ```

use std::collections::HashSet;
use std::ops::Range;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemArg,
    MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wasmtime::FuncType;

use crate::error::{Error, Name, Result};
use crate::imports::ImportInfo;
use crate::marshal::ValueType;

/// Where the functions that the guest would export are imported from.
pub(super) const STAND_INS: &str = "mock";
/// What the module exports by itself.
pub(super) const OWN_EXPORTS: [&str; 5] =
    ["memory", "malloc", "free", "__asyncify_state", "__asyncify_data"];

/// Room for the window. One frame takes [`FRAME`] bytes.
pub(super) const WINDOW: Range<u64> = 64..HEAP as u64;
pub(super) const WINDOW_BYTES: u64 = 64;
/// The first address that is handed out.
const HEAP: i32 = 1024;
/// Bytes of a frame: one number, as an unwinding that writes nothing is a fault.
const FRAME: i32 = 4;

// The globals, by index.
const STATE: u32 = 0;
const DATA: u32 = 1;
const NEXT: u32 = 2;

const UNWINDING: i32 = 1;
const REWINDING: i32 = 2;

const WORD: MemArg = MemArg { offset: 0, align: 2, memory_index: 0 };

/// The name that the function which calls `info` is exported by: `module.name`. Either may have dots
/// of its own, so those of the module are marked.
pub(super) fn export(info: &ImportInfo) -> String {
    let module = info.module.replace('\\', r"\\").replace('.', r"\.");
    format!("{module}.{}", info.name)
}

/// The wasm values that `info` takes.
pub(super) fn params(info: &ImportInfo) -> Vec<ValueType> {
    let params = info.params.iter().flat_map(|param| param.values);
    params.chain(info.out_pointer).copied().collect()
}

/// The module for these imports, with these functions exported as the guest's own.
///
/// # Errors
/// [`Error::Config`] if two imports have one name, or an export takes what no guest passes.
pub(super) fn encode(
    infos: &[&ImportInfo],
    exports: &[(String, FuncType)],
    pages: u32,
) -> Result<Vec<u8>> {
    let mut module = Parts::default();
    for info in infos {
        let ty = module.ty(&params(info), info.results);
        module.import(info.module, info.name, ty);
    }
    for (name, ty) in exports {
        let ty = module.func_type(name, ty)?;
        let function = module.import(STAND_INS, name, ty);
        module.export(name, ExportKind::Func, function)?;
    }
    for (import, info) in (0..).zip(infos) {
        let params = params(info);
        let ty = module.ty(&params, info.results);
        let function = module.function(ty, &caller(import, params.len()));
        module.export(&export(info), ExportKind::Func, function)?;
    }
    let (i32, none): (&[_], &[_]) = (&[ValueType::I32], &[]);
    let ty = module.ty(i32, i32);
    let malloc = module.function(ty, &malloc(pages));
    module.export("malloc", ExportKind::Func, malloc)?;
    let ty = module.ty(i32, none);
    let free = module.function(ty, &body(|_| {}));
    module.export("free", ExportKind::Func, free)?;
    module.export("memory", ExportKind::Memory, 0)?;
    module.export("__asyncify_state", ExportKind::Global, STATE)?;
    module.export("__asyncify_data", ExportKind::Global, DATA)?;
    Ok(module.finish(pages))
}

/// The sections under construction, and what is counted or looked up in them.
#[derive(Default)]
struct Parts {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    code: CodeSection,
    exports: ExportSection,
    exported: HashSet<String>,
}

impl Parts {
    fn ty(&mut self, params: &[ValueType], results: &[ValueType]) -> u32 {
        let index = self.types.len();
        let values = |values: &[ValueType]| values.iter().copied().map(value).collect::<Vec<_>>();
        self.types.ty().function(values(params), values(results));
        index
    }

    fn func_type(&mut self, name: &str, ty: &FuncType) -> Result<u32> {
        let value = |ty: wasmtime::ValType| match ty {
            wasmtime::ValType::I32 => Ok(ValueType::I32),
            wasmtime::ValType::I64 => Ok(ValueType::I64),
            wasmtime::ValType::F32 => Ok(ValueType::F32),
            wasmtime::ValType::F64 => Ok(ValueType::F64),
            wasmtime::ValType::V128 => Ok(ValueType::V128),
            wasmtime::ValType::Ref(_) => Err(Error::Config(format!(
                "the mock's export {} takes or returns a reference, and a mock has none",
                Name(name)
            ))),
        };
        let params = ty.params().map(value).collect::<Result<Vec<_>>>()?;
        let results = ty.results().map(value).collect::<Result<Vec<_>>>()?;
        Ok(self.ty(&params, &results))
    }

    /// Functions are numbered imports first, so all of these come before the first `function`.
    fn import(&mut self, module: &str, name: &str, ty: u32) -> u32 {
        let index = self.imports.len();
        self.imports.import(module, name, EntityType::Function(ty));
        index
    }

    fn function(&mut self, ty: u32, body: &Function) -> u32 {
        let index = self.imports.len() + self.functions.len();
        self.functions.function(ty);
        self.code.function(body);
        index
    }

    fn export(&mut self, name: &str, kind: ExportKind, index: u32) -> Result<()> {
        if !self.exported.insert(name.to_owned()) {
            return Err(Error::Config(format!(
                "the mock has {} twice; rename one of them",
                Name(name)
            )));
        }
        self.exports.export(name, kind, index);
        Ok(())
    }

    fn finish(self, pages: u32) -> Vec<u8> {
        let pages = u64::from(pages);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: pages,
            maximum: Some(pages),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut globals = GlobalSection::new();
        for start in [0, 0, HEAP] {
            let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            globals.global(ty, &ConstExpr::i32_const(start));
        }
        let mut module = Module::new();
        module
            .section(&self.types)
            .section(&self.imports)
            .section(&self.functions)
            .section(&memories)
            .section(&globals)
            .section(&self.exports)
            .section(&self.code);
        module.finish()
    }
}

fn value(ty: ValueType) -> ValType {
    match ty {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
        ValueType::F32 => ValType::F32,
        ValueType::F64 => ValType::F64,
        ValueType::V128 => ValType::V128,
    }
}

fn body(write: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    write(&mut code);
    code.end();
    function
}

/// Calls the import with this index, and can be unwound out of it and rewound into it.
fn caller(import: u32, params: usize) -> Function {
    body(|code| {
        when(code, REWINDING, |code| move_pos(code, -FRAME));
        for param in (0..).take(params) {
            code.local_get(param);
        }
        code.call(import);
        when(code, UNWINDING, |code| {
            code.global_get(DATA).i32_load(WORD).i32_const(0).i32_store(WORD);
            move_pos(code, FRAME);
        });
    })
}

fn when(code: &mut InstructionSink<'_>, state: i32, then: impl FnOnce(&mut InstructionSink<'_>)) {
    code.global_get(STATE).i32_const(state).i32_eq().if_(BlockType::Empty);
    then(code);
    code.end();
}

/// `data.pos += by`
fn move_pos(code: &mut InstructionSink<'_>, by: i32) {
    code.global_get(DATA);
    code.global_get(DATA).i32_load(WORD).i32_const(by).i32_add();
    code.i32_store(WORD);
}

/// The next free address, aligned to 16 bytes, or 0 where the memory ends before `size` does.
fn malloc(pages: u32) -> Function {
    let end = i64::from(pages) << 16;
    body(|code| {
        // In 64 bits, so that no size overflows.
        code.global_get(NEXT).i64_extend_i32_u();
        code.local_get(0).i64_extend_i32_u();
        code.i64_add().i64_const(end).i64_gt_u();
        code.if_(BlockType::Empty).i32_const(0).return_().end();
        // The old address stays below as the answer. The end of the memory is aligned itself, so
        // aligning passes it never.
        code.global_get(NEXT);
        code.global_get(NEXT).local_get(0).i32_add();
        code.i32_const(15).i32_add().i32_const(-16).i32_and().global_set(NEXT);
    })
}
