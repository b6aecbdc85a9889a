//! Bytes to the parts of a module that the preparation asks about.
//!
//! Nothing here is validated beyond what reading it needs: the engine does that when it compiles.
//! So every index is looked up, and no declared count is ever allocated for.

use std::collections::BTreeMap;
use std::ops::Range;

use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, DataSectionReader, ElementItems, ExternalKind,
    FuncType, FunctionBody, GlobalType, ImportSectionReader, Imports, KnownCustom, MemoryType,
    Name, NameSectionReader, Operator, Parser, Payload, TableInit, TableType, TypeRef,
    TypeSectionReader, ValType,
};

use super::PointerWidth;
use crate::error::{BoxError, Error, Result};

/// Magic and version, before the first section.
const HEADER: usize = 8;

/// Where a memory or a global comes from, if it is imported: module and name.
pub(super) type Origin<'a> = Option<(&'a str, &'a str)>;

pub(super) struct Memory<'a> {
    pub(super) ty: MemoryType,
    pub(super) import: Origin<'a>,
}

pub(super) struct Global<'a> {
    pub(super) ty: GlobalType,
    pub(super) import: Origin<'a>,
    /// The value it starts with, if that is a plain constant.
    pub(super) start: Option<u64>,
}

pub(super) struct Export<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ExternalKind,
    pub(super) index: u32,
}

/// A section, as it stands in the module.
pub(super) struct Section<'a> {
    pub(super) id: u8,
    /// A custom section's name.
    pub(super) name: Option<&'a str>,
    pub(super) whole: Range<usize>,
    pub(super) contents: Range<usize>,
}

/// The lowest address that an active data segment is placed at.
#[derive(Clone, Copy)]
pub(super) enum DataStart {
    /// The module has no data.
    Empty,
    At(u64),
    /// A segment's place is only known when the module runs.
    Unknown,
}

pub(super) struct Parsed<'a> {
    types: Vec<Option<FuncType>>,
    /// The imported functions, by module and name.
    pub(super) imports: Vec<(&'a str, &'a str)>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    pub(super) memories: Vec<Memory<'a>>,
    pub(super) globals: Vec<Global<'a>>,
    /// Of each table, whether it holds functions.
    tables: Vec<bool>,
    imports_table: bool,
    pub(super) exports: Vec<Export<'a>>,
    pub(super) sections: Vec<Section<'a>>,
    pub(super) data_start: DataStart,
    /// What active data segments fill, where that is known.
    pub(super) data: Vec<Range<u64>>,
    /// The functions that are referred to outside bodies: by tables, by globals, or to start with.
    pub(super) referenced: Vec<u32>,
    /// The functions that are defined here.
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) function_names: BTreeMap<u32, &'a str>,
    pub(super) global_names: BTreeMap<u32, &'a str>,
}

impl<'a> Parsed<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut parsed = Self {
            types: Vec::new(),
            imports: Vec::new(),
            functions: Vec::new(),
            memories: Vec::new(),
            globals: Vec::new(),
            tables: Vec::new(),
            imports_table: false,
            exports: Vec::new(),
            sections: Vec::new(),
            data_start: DataStart::Empty,
            data: Vec::new(),
            referenced: Vec::new(),
            bodies: Vec::new(),
            function_names: BTreeMap::new(),
            global_names: BTreeMap::new(),
        };
        let mut end = HEADER;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            if let Some((id, contents)) = payload.as_section() {
                let whole = end..contents.end;
                end = contents.end;
                let name = match &payload {
                    Payload::CustomSection(custom) => Some(custom.name()),
                    _ => None,
                };
                parsed.sections.push(Section { id, name, whole, contents });
            }
            parsed.read(payload)?;
        }
        parsed.check_exported_globals()?;
        Ok(parsed)
    }

    /// What is added to a module must not be what an export without its global meant.
    fn check_exported_globals(&self) -> Result<()> {
        match self.exported(ExternalKind::Global).find(|(_, index)| self.global(*index).is_none()) {
            Some((_, index)) => Err(no_global(index)),
            None => Ok(()),
        }
    }

    fn read(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => self.read_types(section)?,
            Payload::ImportSection(section) => self.read_imports(section)?,
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty.map_err(invalid)?);
                }
            }
            Payload::MemorySection(section) => {
                for ty in section {
                    self.memories.push(Memory { ty: ty.map_err(invalid)?, import: None });
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global.map_err(invalid)?;
                    let start = constant(&global.init_expr);
                    self.refer(&global.init_expr)?;
                    self.globals.push(Global { ty: global.ty, import: None, start });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    let kind = match export.kind {
                        ExternalKind::FuncExact => ExternalKind::Func,
                        kind => kind,
                    };
                    self.exports.push(Export { name: export.name, kind, index: export.index });
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table.map_err(invalid)?;
                    self.tables.push(holds_functions(&table.ty));
                    if let TableInit::Expr(expr) = table.init {
                        self.refer(&expr)?;
                    }
                }
            }
            Payload::StartSection { func, .. } => self.referenced.push(func),
            Payload::ElementSection(section) => {
                for element in section {
                    self.read_element(element.map_err(invalid)?.items)?;
                }
            }
            Payload::DataSection(section) => self.read_data(section)?,
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    self.read_names(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_types(&mut self, section: TypeSectionReader<'a>) -> Result<()> {
        for group in section {
            for ty in group.map_err(invalid)?.into_types() {
                self.types.push(match ty.composite_type.inner {
                    CompositeInnerType::Func(ty) => Some(ty),
                    _ => None,
                });
            }
        }
        Ok(())
    }

    fn read_imports(&mut self, section: ImportSectionReader<'a>) -> Result<()> {
        for imports in section {
            // The compact forms name a module once for many imports. The engine does not take
            // them, and a name repeated here for each could fill memory.
            let Imports::Single(_, import) = imports.map_err(invalid)? else {
                return Err(invalid(
                    "the module uses compact imports, which the engine does not take",
                ));
            };
            let origin = (import.module, import.name);
            match import.ty {
                TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                    self.imports.push(origin);
                    self.functions.push(ty);
                }
                TypeRef::Memory(ty) => self.memories.push(Memory { ty, import: Some(origin) }),
                TypeRef::Global(ty) => {
                    self.globals.push(Global { ty, import: Some(origin), start: None });
                }
                TypeRef::Table(ty) => {
                    self.imports_table |= holds_functions(&ty);
                    self.tables.push(holds_functions(&ty));
                }
                TypeRef::Tag(_) => {}
            }
        }
        Ok(())
    }

    fn read_element(&mut self, items: ElementItems<'a>) -> Result<()> {
        match items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    self.referenced.push(function.map_err(invalid)?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expr in expressions {
                    self.refer(&expr.map_err(invalid)?)?;
                }
            }
        }
        Ok(())
    }

    /// Notes the functions that a constant refers to.
    fn refer(&mut self, expr: &ConstExpr<'a>) -> Result<()> {
        for operator in expr.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator.map_err(invalid)? {
                self.referenced.push(function_index);
            }
        }
        Ok(())
    }

    fn read_data(&mut self, section: DataSectionReader<'a>) -> Result<()> {
        for data in section {
            let data = data.map_err(invalid)?;
            let address = match data.kind {
                DataKind::Active { offset_expr, .. } => constant(&offset_expr),
                DataKind::Passive => None,
            };
            if let Some(address) = address {
                self.data.push(address..address.saturating_add(data.data.len() as u64));
            }
            self.data_start = match (self.data_start, address) {
                (DataStart::Unknown, _) | (_, None) => DataStart::Unknown,
                (DataStart::Empty, Some(address)) => DataStart::At(address),
                (DataStart::At(lowest), Some(address)) => DataStart::At(lowest.min(address)),
            };
        }
        Ok(())
    }

    /// Names are a debugging aid: what of them cannot be read is left out, as engines do.
    fn read_names(&mut self, names: NameSectionReader<'a>) {
        for subsection in names {
            let (map, into) = match subsection {
                Ok(Name::Function(map)) => (map, &mut self.function_names),
                Ok(Name::Global(map)) => (map, &mut self.global_names),
                Ok(_) => continue,
                Err(_) => return,
            };
            for naming in map {
                let Ok(naming) = naming else { return };
                into.insert(naming.index, naming.name);
            }
        }
    }

    /// The width of the one memory's addresses.
    pub(super) fn width(&self) -> PointerWidth {
        match self.memories.first() {
            Some(memory) if memory.ty.memory64 => PointerWidth::Memory64,
            _ => PointerWidth::Memory32,
        }
    }

    /// The size in bytes that the one memory starts with.
    pub(super) fn memory_size(&self) -> u64 {
        self.memories.first().map_or(0, |memory| {
            let page =
                1_u64.checked_shl(memory.ty.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
            memory.ty.initial.saturating_mul(page)
        })
    }

    pub(super) fn holds_functions(&self, table: u32) -> bool {
        usize::try_from(table).is_ok_and(|table| self.tables.get(table) == Some(&true))
    }

    /// Whether others can change a table of functions: it is imported, or exported.
    pub(super) fn shares_table(&self) -> bool {
        let mut exported = self.exported(ExternalKind::Table);
        self.imports_table || exported.any(|(_, table)| self.holds_functions(table))
    }

    pub(super) fn function_type(&self, function: u32) -> Option<&FuncType> {
        let ty = *self.functions.get(usize::try_from(function).ok()?)?;
        self.types.get(usize::try_from(ty).ok()?)?.as_ref()
    }

    pub(super) fn has_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// How many parameters and results a function of this type has.
    pub(super) fn type_arity(&self, ty: u32) -> Option<(usize, usize)> {
        let ty = self.types.get(usize::try_from(ty).ok()?)?.as_ref()?;
        Some((ty.params().len(), ty.results().len()))
    }

    /// Whether a function has exactly these parameters and results.
    pub(super) fn has_type(&self, function: u32, params: &[ValType], results: &[ValType]) -> bool {
        self.function_type(function)
            .is_some_and(|ty| ty.params() == params && ty.results() == results)
    }

    /// The body of a function, unless it is imported.
    pub(super) fn body(&self, function: u32) -> Option<&FunctionBody<'a>> {
        let defined = usize::try_from(function).ok()?.checked_sub(self.imports.len())?;
        self.bodies.get(defined)
    }

    pub(super) fn global(&self, index: u32) -> Option<&Global<'a>> {
        self.globals.get(usize::try_from(index).ok()?)
    }

    /// The globals with their indices, imported ones first.
    pub(super) fn indexed_globals(&self) -> impl Iterator<Item = (u32, &Global<'a>)> {
        (0..).zip(&self.globals)
    }

    /// The exports of one kind: name and index.
    pub(super) fn exported(&self, kind: ExternalKind) -> impl Iterator<Item = (&'a str, u32)> {
        self.exports
            .iter()
            .filter(move |export| export.kind == kind)
            .map(|export| (export.name, export.index))
    }

    /// The export with this name, if it is a function.
    pub(super) fn exported_function(&self, name: &str) -> Option<u32> {
        self.exported(ExternalKind::Func).find(|(found, _)| *found == name).map(|(_, index)| index)
    }
}

/// The operators of a short body, or nothing if it is longer than `limit` bytes or cannot be read.
pub(super) fn short_body<'a>(body: &FunctionBody<'a>, limit: usize) -> Option<Vec<Operator<'a>>> {
    if body.range().len() > limit {
        return None;
    }
    body.get_operators_reader().ok()?.into_iter().collect::<Result<_, _>>().ok()
}

fn holds_functions(table: &TableType) -> bool {
    !table.element_type.is_extern_ref()
}

/// The value of an expression that is one constant.
fn constant(expr: &ConstExpr<'_>) -> Option<u64> {
    let mut operators = expr.get_operators_reader();
    let value = match operators.read().ok()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return None,
    };
    matches!(operators.read().ok()?, Operator::End).then_some(value)
}

/// A module that names a global which it does not have.
pub(super) fn no_global(index: u32) -> Error {
    invalid(format!("it uses the global {index}, and has no such global"))
}

pub(super) fn invalid(source: impl Into<BoxError>) -> Error {
    Error::InvalidModule { file: None, source: source.into() }
}
