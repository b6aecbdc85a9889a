//! The module as it was compiled: validated, and what of it the pass asks for.

use wasmparser::{
    AbstractHeapType, CompositeInnerType, ConstExpr, ElementItems, ExternalKind, FuncToValidate,
    FuncType, FuncValidator, FuncValidatorAllocations, FunctionBody, HeapType, Operator, Parser,
    Payload, RefType, SubType, TableInit, TypeRef, UnpackedIndex, ValType, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
    types::{CoreTypeId, Types},
};

use std::collections::HashMap;

use crate::error::{Error, Result};

/// A section as it stands in the module.
pub(crate) struct Section {
    pub(crate) id: u8,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Something that the module imports.
pub(crate) struct Import<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) function: Option<u32>,
}

pub(crate) struct Export<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: ExternalKind,
    pub(crate) index: u32,
}

/// A function that is defined here.
pub(crate) struct Body<'a> {
    pub(crate) validate: FuncToValidate<ValidatorResources>,
    pub(crate) body: FunctionBody<'a>,
}

impl Body<'_> {
    /// A validator of it, at its beginning.
    pub(crate) fn validator(
        &self,
        allocations: FuncValidatorAllocations,
    ) -> FuncValidator<ValidatorResources> {
        let FuncToValidate { resources, index, ty, features } = &self.validate;
        let (resources, index, ty, features) = (resources.clone(), *index, *ty, *features);
        FuncToValidate { resources, index, ty, features }.into_validator(allocations)
    }
}

pub(crate) struct Module<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) sections: Vec<Section>,
    pub(crate) subtypes: Vec<SubType>,
    /// Those of them that are functions'.
    signatures: Vec<Option<FuncType>>,
    pub(crate) known: Known,
    pub(crate) imports: Vec<Import<'a>>,
    pub(crate) exports: Vec<Export<'a>>,
    /// The type of each function, those that are imported first.
    pub(crate) functions: Vec<u32>,
    pub(crate) imported_functions: u32,
    pub(crate) tables: u32,
    pub(crate) memories: u32,
    pub(crate) globals: u32,
    pub(crate) tags: u32,
    /// Whether a table of functions is imported or exported.
    pub(crate) shares_table: bool,
    pub(crate) start: Option<u32>,
    /// Functions that are referred to outside of code, by index.
    pub(crate) referred: Vec<u32>,
    pub(crate) bodies: Vec<Body<'a>>,
    pub(crate) types: Types,
}

/// Types as validation has them, by their place in the module.
pub(crate) struct Known(HashMap<CoreTypeId, u32>);

impl Known {
    fn new(types: &Types) -> Self {
        let mut known = HashMap::new();
        let types = types.as_ref();
        for index in 0..types.core_type_count_in_module() {
            known.entry(types.core_type_at_in_module(index)).or_insert(index);
        }
        Self(known)
    }

    fn signatures(&self, subtypes: &[SubType]) -> Result<Vec<Option<FuncType>>> {
        let of = |types: &[ValType]| -> Result<Vec<ValType>> {
            types.iter().map(|ty| self.val_type(*ty)).collect()
        };
        let signature = |ty: &SubType| match &ty.composite_type.inner {
            CompositeInnerType::Func(ty) => {
                Ok(Some(FuncType::new(of(ty.params())?, of(ty.results())?)))
            }
            _ => Ok(None),
        };
        subtypes.iter().map(signature).collect()
    }

    pub(crate) fn val_type(&self, ty: ValType) -> Result<ValType> {
        let ValType::Ref(reference) = ty else {
            return Ok(ty);
        };
        let heap = match reference.heap_type() {
            HeapType::Concrete(UnpackedIndex::Id(id)) | HeapType::Exact(UnpackedIndex::Id(id)) => {
                let index = self.0.get(&id).ok_or_else(|| Error::internal("a type"))?;
                HeapType::Concrete(UnpackedIndex::Module(*index))
            }
            HeapType::Exact(index) => HeapType::Concrete(index),
            heap => heap,
        };
        let reference = RefType::new(reference.is_nullable(), heap);
        Ok(ValType::Ref(reference.ok_or_else(|| Error::internal("a reference's type"))?))
    }
}

/// What the engine takes that the pass was written for.
pub(crate) fn features() -> WasmFeatures {
    // With custom descriptors `ref.func` has an exact type, which engines do not take in locals.
    let without = WasmFeatures::CUSTOM_DESCRIPTORS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::MEMORY_CONTROL;
    WasmFeatures::all().difference(without)
}

impl<'a> Module<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut validator = Validator::new_with_features(features());
        let mut module = Collected::default();
        let mut types = None;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Func(validate, body) => module.bodies.push(Body { validate, body }),
                ValidPayload::End(found) => types = Some(found),
                ValidPayload::Parser(_) => return Err(Error::Component),
                ValidPayload::Ok => {}
            }
            module.payload(&payload)?;
        }
        let types = types.ok_or(Error::Component)?;
        let mut allocations = FuncValidatorAllocations::default();
        for body in &module.bodies {
            let mut validator = body.validator(std::mem::take(&mut allocations));
            validator.validate(&body.body)?;
            allocations = validator.into_allocations();
        }
        module.finish(bytes, types)
    }

    pub(crate) fn subtype(&self, index: u32) -> Option<&SubType> {
        self.subtypes.get(index as usize)
    }

    pub(crate) fn func_type(&self, index: u32) -> Result<&FuncType> {
        let ty = self.signatures.get(index as usize).and_then(Option::as_ref);
        ty.ok_or_else(|| Error::internal("a function's type"))
    }

    pub(crate) fn type_of(&self, function: u32) -> Result<&FuncType> {
        let ty = self.functions.get(function as usize);
        self.func_type(*ty.ok_or_else(|| Error::internal("a function"))?)
    }
}

#[derive(Default)]
struct Collected<'a> {
    sections: Vec<Section>,
    imports: Vec<Import<'a>>,
    exports: Vec<Export<'a>>,
    functions: Vec<u32>,
    imported_functions: u32,
    tables: Vec<(RefType, bool)>,
    memories: u32,
    globals: u32,
    tag_types: Vec<u32>,
    start: Option<u32>,
    referred: Vec<u32>,
    bodies: Vec<Body<'a>>,
    shared_memory: bool,
}

impl<'a> Collected<'a> {
    fn payload(&mut self, payload: &Payload<'a>) -> Result<()> {
        if let Some((id, range)) = payload.as_section() {
            self.sections.push(Section { id, start: range.start, end: range.end });
        }
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    let import = import?;
                    let mut function = None;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            function = Some(self.imported_functions);
                            self.imported_functions += 1;
                            self.functions.push(ty);
                        }
                        TypeRef::Table(ty) => self.tables.push((ty.element_type, true)),
                        TypeRef::Memory(ty) => {
                            self.memories += 1;
                            self.shared_memory |= ty.shared;
                        }
                        TypeRef::Global(_) => self.globals += 1,
                        TypeRef::Tag(ty) => self.tag_types.push(ty.func_type_idx),
                    }
                    let (module, name) = (import.module, import.name);
                    self.imports.push(Import { module, name, function });
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions.clone() {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    let table = table?;
                    self.tables.push((table.ty.element_type, false));
                    if let TableInit::Expr(expr) = table.init {
                        self.refer(&expr)?;
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    self.memories += 1;
                    self.shared_memory |= memory?.shared;
                }
            }
            Payload::TagSection(tags) => {
                for tag in tags.clone() {
                    self.tag_types.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals.clone() {
                    self.globals += 1;
                    self.refer(&global?.init_expr)?;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    self.exports.push(Export {
                        name: export.name,
                        kind: export.kind,
                        index: export.index,
                    });
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(*func),
            Payload::ElementSection(elements) => {
                for element in elements.clone() {
                    match element?.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                self.referred.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                self.refer(&expression?)?;
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn refer(&mut self, expr: &ConstExpr<'_>) -> Result<()> {
        for operator in expr.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.referred.push(function_index);
            }
        }
        Ok(())
    }

    fn finish(self, bytes: &'a [u8], types: Types) -> Result<Module<'a>> {
        if self.shared_memory {
            return Err(Error::unsupported("a shared memory", None, 0));
        }
        let of = types.as_ref();
        let count = of.core_type_count_in_module();
        let known = Known::new(&types);
        let subtypes: Vec<_> =
            (0..count).map(|index| types[of.core_type_at_in_module(index)].clone()).collect();
        let exported = |index: usize| {
            self.exports
                .iter()
                .any(|export| export.kind == ExternalKind::Table && export.index as usize == index)
        };
        let shares_table = self.tables.iter().enumerate().any(|(index, (element, imported))| {
            holds_functions(*element, &subtypes) && (*imported || exported(index))
        });
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Ok(Module {
            bytes,
            shares_table,
            tables: count(self.tables.len()),
            tags: count(self.tag_types.len()),
            sections: self.sections,
            signatures: known.signatures(&subtypes)?,
            known,
            subtypes,
            imports: self.imports,
            exports: self.exports,
            functions: self.functions,
            imported_functions: self.imported_functions,
            memories: self.memories,
            globals: self.globals,
            start: self.start,
            referred: self.referred,
            bodies: self.bodies,
            types,
        })
    }
}

fn holds_functions(element: RefType, subtypes: &[SubType]) -> bool {
    match element.heap_type() {
        HeapType::Abstract { ty, .. } => ty == AbstractHeapType::Func,
        HeapType::Concrete(index) | HeapType::Exact(index) => {
            let ty = index.as_module_index().and_then(|index| subtypes.get(index as usize));
            ty.is_some_and(|ty| matches!(ty.composite_type.inner, CompositeInnerType::Func(_)))
        }
    }
}
