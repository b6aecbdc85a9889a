//! Programs with operands below constructs, parameters of blocks and loops, branches with values,
//! recursion, tail calls, and calls through a table.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "all numbers in here are small"
)]

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    InstructionSink, Module, RefType, TableSection, TableType, TypeSection, ValType,
};

/// A generator of numbers: xorshift.
#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % most
    }
}

const TYPES: [ValType; 4] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
const FUNCTIONS: u32 = 4;
/// Parameters of every function: how deep it may call, and a number.
const PARAMS: [ValType; 2] = [ValType::I32, ValType::I64];
const LOCALS: u32 = 6;

struct Gen<'g> {
    rng: &'g mut Rng,
    types: &'g mut Vec<(Vec<ValType>, Vec<ValType>)>,
    locals: Vec<ValType>,
    results: &'g [Vec<ValType>],
    /// What a branch to each open construct carries, the innermost last.
    labels: Vec<Vec<ValType>>,
    own: usize,
    budget: u32,
}

impl Gen<'_> {
    fn some(&mut self, most: u64) -> Vec<ValType> {
        let count = self.rng.below(most);
        (0..count).map(|_| TYPES[self.rng.below(4) as usize]).collect()
    }

    fn block(&mut self, params: &[ValType], results: &[ValType]) -> BlockType {
        if params.is_empty() && results.is_empty() {
            return BlockType::Empty;
        }
        let key = (params.to_vec(), results.to_vec());
        let at = self.types.iter().position(|ty| *ty == key).unwrap_or_else(|| {
            self.types.push(key);
            self.types.len() - 1
        });
        BlockType::FunctionType(at as u32)
    }

    fn value(&mut self, code: &mut InstructionSink<'_>, ty: ValType) {
        let local = self.locals.iter().position(|local| *local == ty);
        match (self.rng.below(2), local) {
            (0, Some(local)) => code.local_get(local as u32),
            _ => match ty {
                ValType::I32 => code.i32_const(self.rng.below(100) as i32),
                ValType::I64 => code.i64_const(self.rng.below(100) as i64),
                ValType::F32 => code.f32_const((self.rng.below(100) as f32).into()),
                _ => code.f64_const((self.rng.below(100) as f64).into()),
            },
        };
    }

    fn values(&mut self, code: &mut InstructionSink<'_>, types: &[ValType]) {
        for ty in types {
            self.value(code, *ty);
        }
    }

    /// An `i32` that is made of what is on the stack.
    fn to_i32(code: &mut InstructionSink<'_>, ty: ValType) {
        match ty {
            ValType::I32 => code,
            ValType::I64 => code.i32_wrap_i64(),
            ValType::F32 => code.i32_trunc_sat_f32_s(),
            _ => code.i32_trunc_sat_f64_s(),
        };
    }

    /// Statements from an empty stack of the construct's own to `results`.
    fn body(
        &mut self,
        code: &mut InstructionSink<'_>,
        mut stack: Vec<ValType>,
        results: &[ValType],
        depth: u32,
    ) {
        for _ in 0..=self.rng.below(6) {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            if self.statement(code, &mut stack, depth) {
                return;
            }
        }
        while stack.pop().is_some() {
            code.drop();
        }
        self.values(code, results);
    }

    /// One of them; whether nothing behind it is reached.
    #[allow(clippy::too_many_lines, reason = "an arm for each kind")]
    fn statement(
        &mut self,
        code: &mut InstructionSink<'_>,
        stack: &mut Vec<ValType>,
        depth: u32,
    ) -> bool {
        match self.rng.below(14) {
            0 | 1 => {
                let ty = TYPES[self.rng.below(4) as usize];
                self.value(code, ty);
                stack.push(ty);
            }
            2 | 3 => {
                self.value(code, ValType::I32);
                code.call(0);
                stack.push(ValType::I32);
            }
            4 => {
                if let Some(ty) = stack.pop() {
                    let local = self.locals.iter().skip(2).position(|local| *local == ty);
                    match local {
                        Some(local) if self.rng.below(2) == 0 => {
                            code.local_set(local as u32 + 2);
                        }
                        Some(local) => {
                            code.local_tee(local as u32 + 2);
                            stack.push(ty);
                        }
                        None => {
                            code.drop();
                        }
                    }
                }
            }
            5 => {
                if let Some(ty) = stack.pop() {
                    Self::to_i32(code, ty);
                    code.global_get(0).i32_add().global_set(0);
                }
            }
            6 if stack.len() > 1 => {
                let (one, other) = (stack[stack.len() - 1], stack[stack.len() - 2]);
                if one == other {
                    stack.pop();
                    match one {
                        ValType::I32 => code.i32_sub(),
                        ValType::I64 => code.i64_xor(),
                        ValType::F32 => code.f32_add(),
                        _ => code.f64_sub(),
                    };
                }
            }
            7 if depth > 0 => {
                let params =
                    stack.split_off(stack.len() - self.rng.below(stack.len() as u64 + 1) as usize);
                let results = self.some(3);
                let ty = self.block(&params, &results);
                code.block(ty);
                self.labels.push(results.clone());
                self.body(code, params, &results, depth - 1);
                self.labels.pop();
                code.end();
                stack.extend(results);
            }
            8 if depth > 0 => {
                let params =
                    stack.split_off(stack.len() - self.rng.below(stack.len() as u64 + 1) as usize);
                let results = self.some(3);
                let ty = self.block(&params, &results);
                self.value(code, ValType::I32);
                code.i32_const(1).i32_and().if_(ty);
                self.labels.push(results.clone());
                self.body(code, params.clone(), &results, depth - 1);
                if params != results || self.rng.below(2) == 0 {
                    code.else_();
                    self.body(code, params, &results, depth - 1);
                }
                self.labels.pop();
                code.end();
                stack.extend(results);
            }
            9 if depth > 0 => {
                // The last local counts how often it goes round.
                let counter = LOCALS + 1;
                let params =
                    stack.split_off(stack.len() - self.rng.below(stack.len() as u64 + 1) as usize);
                let results = self.some(2);
                code.i32_const(self.rng.below(4) as i32).local_set(counter);
                let ty = self.block(&params, &results);
                code.loop_(ty);
                code.local_get(counter).i32_const(1).i32_sub().local_set(counter);
                // A branch to it must count as well, so none is made within.
                self.labels.push(vec![ValType::V128]);
                self.body(code, params.clone(), &results, depth - 1);
                self.labels.pop();
                self.values(code, &params);
                code.local_get(counter).i32_const(0).i32_gt_s().br_if(0);
                for _ in &params {
                    code.drop();
                }
                code.end();
                stack.extend(results);
            }
            10 => {
                let label = self.rng.below(self.labels.len() as u64) as usize;
                let types = self.labels[label].clone();
                if types != [ValType::V128] {
                    self.values(code, &types);
                    self.value(code, ValType::I32);
                    code.i32_const(3).i32_and().i32_eqz();
                    code.br_if((self.labels.len() - 1 - label) as u32);
                    stack.extend(types);
                }
            }
            11 => {
                let label = self.rng.below(self.labels.len() as u64) as usize;
                let types = self.labels[label].clone();
                let depths: Vec<_> = self
                    .labels
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| **other == types)
                    .map(|(at, _)| (self.labels.len() - 1 - at) as u32)
                    .collect();
                if types != [ValType::V128] && self.rng.below(2) == 0 {
                    self.values(code, &types);
                    self.value(code, ValType::I32);
                    code.br_table(depths.clone(), depths[0]);
                    return true;
                }
            }
            12 => {
                let callee = self.rng.below(FUNCTIONS.into()) as usize;
                code.local_get(0).i32_const(1).i32_sub();
                self.value(code, ValType::I64);
                if self.results[callee] == self.results[self.own] && self.rng.below(3) == 0 {
                    code.return_call(callee as u32 + 1);
                    return true;
                }
                code.call(callee as u32 + 1);
                stack.extend(self.results[callee].iter().copied());
            }
            13 => {
                let callee = self.rng.below(FUNCTIONS.into()) as usize;
                let results = self.results[callee].clone();
                let BlockType::FunctionType(ty) = self.block(&PARAMS, &results) else {
                    return false;
                };
                code.local_get(0).i32_const(1).i32_sub();
                self.value(code, ValType::I64);
                code.i32_const(callee as i32).call_indirect(0, ty);
                stack.extend(results);
            }
            _ => {}
        }
        false
    }
}

/// The module of a seed.
pub(crate) fn program(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut types = vec![(vec![ValType::I32], vec![ValType::I32])];
    let results: Vec<Vec<ValType>> = (0..FUNCTIONS)
        .map(|_| (0..rng.below(3)).map(|_| TYPES[rng.below(4) as usize]).collect())
        .collect();
    for results in &results {
        types.push((PARAMS.to_vec(), results.clone()));
    }
    let mut code = CodeSection::new();
    for own in 0..FUNCTIONS as usize {
        let mut locals = PARAMS.to_vec();
        locals.extend((2..LOCALS).map(|_| TYPES[rng.below(4) as usize]));
        let declared = locals[2..].iter().copied().chain([ValType::I32, ValType::I32]);
        let mut function = Function::new_with_locals_types(declared);
        let mut bytes = Vec::new();
        let labels = vec![results[own].clone()];
        let mut body = Gen {
            rng: &mut rng,
            types: &mut types,
            locals,
            results: &results,
            labels,
            own,
            budget: 60,
        };
        let mut sink = InstructionSink::new(&mut bytes);
        sink.local_get(0).i32_const(3).i32_and().local_tee(0).i32_eqz().if_(BlockType::Empty);
        body.labels.push(Vec::new());
        body.values(&mut sink, &results[own]);
        sink.return_().end();
        body.labels.pop();
        body.body(&mut sink, Vec::new(), &results[own], 3);
        sink.end();
        function.raw(bytes);
        code.function(&function);
    }
    let mut section = TypeSection::new();
    for (params, results) in &types {
        section.ty().function(params.iter().copied(), results.iter().copied());
    }
    let mut imports = ImportSection::new();
    imports.import("env", "wait", EntityType::Function(0));
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    for function in 0..FUNCTIONS {
        functions.function(function + 1);
        exports.export(&format!("f{function}"), ExportKind::Func, function + 1);
    }
    exports.export("count", ExportKind::Global, 0);
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        minimum: FUNCTIONS.into(),
        maximum: None,
        table64: false,
        shared: false,
    });
    let mut globals = GlobalSection::new();
    globals.global(
        GlobalType { val_type: ValType::I32, mutable: true, shared: false },
        &ConstExpr::i32_const(0),
    );
    let mut elements = ElementSection::new();
    let all: Vec<_> = (1..=FUNCTIONS).collect();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    let mut module = Module::new();
    module.section(&section).section(&imports).section(&functions).section(&tables);
    module.section(&globals).section(&exports).section(&elements).section(&code);
    module.finish()
}
