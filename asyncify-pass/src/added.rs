//! What the pass adds to a module: where each thing is in its index space, behind the module's own.

use std::collections::HashMap;

use wasm_encoder::{AbstractHeapType, BlockType, HeapType, InstructionSink, MemArg, RefType};
use wasmparser::{UnpackedIndex, ValType};

use crate::error::{Error, Result};
use crate::module::Module;

/// The type of a value as it is encoded.
pub(crate) fn encoded(ty: ValType) -> Result<wasm_encoder::ValType> {
    Ok(match ty {
        ValType::I32 => wasm_encoder::ValType::I32,
        ValType::I64 => wasm_encoder::ValType::I64,
        ValType::F32 => wasm_encoder::ValType::F32,
        ValType::F64 => wasm_encoder::ValType::F64,
        ValType::V128 => wasm_encoder::ValType::V128,
        ValType::Ref(reference) => wasm_encoder::ValType::Ref(RefType {
            nullable: reference.is_nullable(),
            heap_type: heap(reference.heap_type())?,
        }),
    })
}

pub(crate) fn heap(ty: wasmparser::HeapType) -> Result<HeapType> {
    Ok(match ty {
        wasmparser::HeapType::Abstract { shared, ty } => {
            use wasmparser::AbstractHeapType as From;
            let ty = match ty {
                From::Func => AbstractHeapType::Func,
                From::Extern => AbstractHeapType::Extern,
                From::Any => AbstractHeapType::Any,
                From::None => AbstractHeapType::None,
                From::NoExtern => AbstractHeapType::NoExtern,
                From::NoFunc => AbstractHeapType::NoFunc,
                From::Eq => AbstractHeapType::Eq,
                From::Struct => AbstractHeapType::Struct,
                From::Array => AbstractHeapType::Array,
                From::I31 => AbstractHeapType::I31,
                From::Exn => AbstractHeapType::Exn,
                From::NoExn => AbstractHeapType::NoExn,
                From::Cont | From::NoCont => {
                    return Err(Error::unsupported("a continuation", None, 0));
                }
            };
            HeapType::Abstract { shared, ty }
        }
        wasmparser::HeapType::Concrete(UnpackedIndex::Module(index)) => HeapType::Concrete(index),
        _ => return Err(Error::internal("a type")),
    })
}

/// A type's value from the start.
pub(crate) fn zero(code: &mut InstructionSink<'_>, ty: ValType) -> Result<()> {
    match ty {
        ValType::I32 => code.i32_const(0),
        ValType::I64 => code.i64_const(0),
        ValType::F32 => code.f32_const(0.0.into()),
        ValType::F64 => code.f64_const(0.0.into()),
        ValType::V128 => code.v128_const(0),
        ValType::Ref(reference) => code.ref_null(heap(reference.heap_type())?),
    };
    Ok(())
}

/// The same type, with null among its values: what locals, globals and tables have from the start.
pub(crate) fn nullable(ty: ValType) -> ValType {
    match ty {
        ValType::Ref(reference) => ValType::Ref(reference.nullable()),
        ty => ty,
    }
}

pub(crate) fn is_non_null(ty: ValType) -> bool {
    matches!(ty, ValType::Ref(reference) if !reference.is_nullable())
}

/// Bytes that a value takes in a frame; of a reference that is the index of its place in a table.
pub(crate) fn bytes(ty: ValType) -> u32 {
    match ty {
        ValType::V128 => 16,
        ValType::I64 | ValType::F64 => 8,
        ValType::I32 | ValType::F32 | ValType::Ref(_) => 4,
    }
}

/// Functions and tables of references of one type.
pub(crate) struct References {
    pub(crate) of: ValType,
    pub(crate) ty: RefType,
    pub(crate) table: u32,
    pub(crate) count: u32,
    pub(crate) hint: u32,
    pub(crate) put: u32,
    pub(crate) take: u32,
}

pub(crate) struct Added {
    pub(crate) memory: u32,
    pub(crate) companions: u32,
    pub(crate) state: u32,
    pub(crate) pos: u32,
    pub(crate) yields: u32,
    pub(crate) frame: u32,
    pub(crate) answer: u32,
    pub(crate) exn: Option<u32>,
    /// `() -> ()`, the type of a companion.
    pub(crate) nothing: u32,
    /// The function that makes room for a frame.
    pub(crate) push: u32,
    pub(crate) run: u32,
    pub(crate) types: Types,
    first_result: u32,
    pub(crate) results: Vec<ValType>,
    places: HashMap<(ValType, usize), u32>,
    pub(crate) references: Vec<References>,
    by_type: HashMap<ValType, usize>,
    /// Indices of the next function, table and global that are added on demand.
    pub(crate) next_function: u32,
    next_table: u32,
}

/// Function types that are added.
pub(crate) struct Types {
    first: u32,
    pub(crate) added: Vec<(Vec<ValType>, Vec<ValType>)>,
    known: HashMap<(Vec<ValType>, Vec<ValType>), u32>,
}

impl Types {
    pub(crate) fn of(&mut self, params: Vec<ValType>, results: Vec<ValType>) -> u32 {
        let next = self.first + u32::try_from(self.added.len()).unwrap_or(u32::MAX);
        let (first, key) = (self.first, (params, results));
        debug_assert!(next >= first);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        self.added.push(key.clone());
        self.known.insert(key, next);
        next
    }

    /// A block that takes these and leaves them.
    pub(crate) fn passing(&mut self, types: &[ValType]) -> BlockType {
        if types.is_empty() {
            BlockType::Empty
        } else {
            BlockType::FunctionType(self.of(types.to_vec(), types.to_vec()))
        }
    }

    /// A block that leaves these.
    pub(crate) fn leaving(&mut self, types: &[ValType]) -> Result<BlockType> {
        Ok(match types {
            [] => BlockType::Empty,
            [ty] => BlockType::Result(encoded(*ty)?),
            types => BlockType::FunctionType(self.of(Vec::new(), types.to_vec())),
        })
    }
}

/// Globals that every module gets, in this order.
pub(crate) const GLOBALS: u32 = 5;

impl Added {
    pub(crate) fn new(module: &Module<'_>) -> Self {
        let mut types = Types {
            first: u32::try_from(module.subtypes.len()).unwrap_or(u32::MAX),
            added: Vec::new(),
            known: HashMap::new(),
        };
        let nothing = types.of(Vec::new(), Vec::new());
        let functions = u32::try_from(module.functions.len()).unwrap_or(u32::MAX);
        let globals = module.globals;
        let exn = (module.tags > 0).then_some(globals + GLOBALS);
        Self {
            memory: module.memories,
            companions: module.tables,
            state: globals,
            pos: globals + 1,
            yields: globals + 2,
            frame: globals + 3,
            answer: globals + 4,
            exn,
            nothing,
            push: functions,
            run: functions + 1,
            types,
            first_result: globals + GLOBALS + u32::from(exn.is_some()),
            results: Vec::new(),
            places: HashMap::new(),
            references: Vec::new(),
            by_type: HashMap::new(),
            next_function: functions + 2,
            next_table: module.tables + 1,
        }
    }

    /// How many globals are added.
    pub(crate) fn globals(&self) -> usize {
        GLOBALS as usize + usize::from(self.exn.is_some()) + self.results.len()
    }

    /// The global that the result at `place` of a function is handed on in.
    pub(crate) fn result(&mut self, ty: ValType, place: usize) -> u32 {
        let ty = nullable(ty);
        let next = self.first_result + u32::try_from(self.results.len()).unwrap_or(u32::MAX);
        let results = &mut self.results;
        *self.places.entry((ty, place)).or_insert_with(|| {
            results.push(ty);
            next
        })
    }

    /// Where references of this type are kept. Of two globals each has a count and a hint, which
    /// come behind those of the results, so that they are numbered when all are known.
    pub(crate) fn references(&mut self, ty: ValType) -> Result<&References> {
        let key = nullable(ty);
        if !self.by_type.contains_key(&key) {
            let wasm_encoder::ValType::Ref(ty) = encoded(key)? else {
                return Err(Error::internal("a reference"));
            };
            let [count, hint] = [0, 1].map(|global| {
                self.result(ValType::I32, usize::MAX - 2 * self.references.len() - global)
            });
            self.by_type.insert(key, self.references.len());
            self.references.push(References {
                of: key,
                ty,
                table: self.next_table,
                count,
                hint,
                put: self.next_function,
                take: self.next_function + 1,
            });
            self.next_table += 1;
            self.next_function += 2;
        }
        let at = self.by_type.get(&key).and_then(|at| self.references.get(*at));
        at.ok_or_else(|| Error::internal("a reference"))
    }

    /// A place in the frame that begins at the address on the operand stack.
    pub(crate) fn at(&self, offset: u32, align: u32) -> MemArg {
        MemArg { offset: offset.into(), align, memory_index: self.memory }
    }

    /// Stores the local's value at `offset` of the frame whose address the local `frame` has.
    pub(crate) fn store(
        &mut self,
        code: &mut InstructionSink<'_>,
        frame: u32,
        offset: u32,
        local: u32,
        ty: ValType,
    ) -> Result<()> {
        code.local_get(frame).local_get(local);
        match ty {
            ValType::I32 => code.i32_store(self.at(offset, 2)),
            ValType::I64 => code.i64_store(self.at(offset, 3)),
            ValType::F32 => code.f32_store(self.at(offset, 2)),
            ValType::F64 => code.f64_store(self.at(offset, 3)),
            ValType::V128 => code.v128_store(self.at(offset, 3)),
            ValType::Ref(_) => {
                let put = self.references(ty)?.put;
                code.call(put).i32_store(self.at(offset, 2))
            }
        };
        Ok(())
    }

    /// Loads a value from there into the local.
    pub(crate) fn load(
        &mut self,
        code: &mut InstructionSink<'_>,
        frame: u32,
        offset: u32,
        local: u32,
        ty: ValType,
    ) -> Result<()> {
        code.local_get(frame);
        match ty {
            ValType::I32 => code.i32_load(self.at(offset, 2)),
            ValType::I64 => code.i64_load(self.at(offset, 3)),
            ValType::F32 => code.f32_load(self.at(offset, 2)),
            ValType::F64 => code.f64_load(self.at(offset, 3)),
            ValType::V128 => code.v128_load(self.at(offset, 3)),
            ValType::Ref(_) => {
                let take = self.references(ty)?.take;
                code.i32_load(self.at(offset, 2)).call(take)
            }
        };
        code.local_set(local);
        Ok(())
    }
}
