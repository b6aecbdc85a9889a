//! Finds Asyncify's functions and its two globals, by name or by the shape of the bodies.

use wasmparser::{ExternalKind, FuncType, Operator, ValType};

use super::parse::{Parsed, short_body};
use crate::error::{Error, Result};

/// A longer body is not one of Asyncify's; they take about 30 bytes.
const LONGEST: usize = 64;

/// The names that the pass argument `asyncify-export-globals` exports the globals by.
pub(super) const STATE: &str = "__asyncify_state";
pub(super) const DATA: &str = "__asyncify_data";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    StartUnwind,
    StopUnwind,
    StartRewind,
    StopRewind,
    GetState,
}

impl Role {
    const ALL: [Self; 5] =
        [Self::StartUnwind, Self::StopUnwind, Self::StartRewind, Self::StopRewind, Self::GetState];

    fn name(self) -> &'static str {
        match self {
            Self::StartUnwind => "asyncify_start_unwind",
            Self::StopUnwind => "asyncify_stop_unwind",
            Self::StartRewind => "asyncify_start_rewind",
            Self::StopRewind => "asyncify_stop_rewind",
            Self::GetState => "asyncify_get_state",
        }
    }

    /// The value that the function sets the state to.
    fn sets(self) -> Option<i32> {
        match self {
            Self::StartUnwind => Some(1),
            Self::StartRewind => Some(2),
            Self::StopUnwind | Self::StopRewind => Some(0),
            Self::GetState => None,
        }
    }

    fn is_typed(self, parsed: &Parsed<'_>, function: u32) -> bool {
        let pointer = [parsed.width().value_type()];
        match self {
            Self::StartUnwind | Self::StartRewind => parsed.has_type(function, &pointer, &[]),
            Self::StopUnwind | Self::StopRewind => parsed.has_type(function, &[], &[]),
            Self::GetState => parsed.has_type(function, &[], &[ValType::I32]),
        }
    }

    fn type_name(self, parsed: &Parsed<'_>) -> String {
        match self {
            Self::StartUnwind | Self::StartRewind => format!("({}) -> ()", parsed.width()),
            Self::StopUnwind | Self::StopRewind => "() -> ()".to_owned(),
            Self::GetState => "() -> (i32)".to_owned(),
        }
    }
}

/// The globals that Asyncify made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) state: u32,
    pub(super) data: u32,
}

impl Globals {
    pub(super) fn contains(self, global: u32) -> bool {
        global == self.state || global == self.data
    }
}

pub(super) struct Asyncify<'a> {
    pub(super) globals: Globals,
    roles: Vec<(Role, &'a str, u32)>,
}

impl<'a> Asyncify<'a> {
    /// The export that plays `role`.
    pub(super) fn export(&self, role: Role) -> Option<&'a str> {
        self.roles.iter().find(|(found, ..)| *found == role).map(|(_, name, _)| *name)
    }

    /// Whether `function` is one of Asyncify's own that set the state.
    pub(super) fn sets(&self, function: u32) -> bool {
        let mut roles = self.roles.iter();
        roles.any(|(role, _, index)| *index == function && role.sets().is_some())
    }

    /// Whether the module leaves the state alone, outside of bodies: no one else can reach the
    /// global, and nothing but the exports of their roles leads to the functions that set it.
    pub(super) fn is_sealed(&self, parsed: &Parsed<'_>) -> bool {
        let is_role = |name| self.roles.iter().any(|(_, role, _)| *role == name);
        parsed.global(self.globals.state).is_some_and(|global| global.import.is_none())
            && parsed.referenced.iter().all(|function| !self.sets(*function))
            && parsed
                .exported(ExternalKind::Func)
                .all(|(name, function)| is_role(name) || !self.sets(function))
    }

    /// Whether `function` is one of Asyncify's own.
    pub(super) fn owns(&self, function: u32) -> bool {
        self.roles.iter().any(|(.., index)| *index == function)
    }
}

/// Asyncify's parts in an instrumented module, nothing in another.
pub(super) fn find<'a>(parsed: &Parsed<'a>) -> Result<Option<Asyncify<'a>>> {
    let mut roles = named(parsed)?;
    let shaped: Vec<_> = parsed
        .exported(ExternalKind::Func)
        .filter_map(|(name, index)| Some((name, index, shape(parsed, index)?)))
        .collect();
    // A name is the better evidence: a module without names has these shapes only once anyway.
    let by_name =
        shaped.iter().find(|(_, index, _)| roles.iter().any(|(.., named)| named == index));
    let exported = exported_globals(parsed);
    let by_shape = by_name.or(shaped.first()).map(|(.., shape)| shape.globals);
    let Some(globals) = exported.or(by_shape) else {
        return match roles.first() {
            None => Ok(None),
            Some((_, present, _)) => Err(missing(present, Role::StartUnwind)),
        };
    };
    for role in Role::ALL {
        if roles.iter().any(|(named, ..)| *named == role) {
            continue;
        }
        // The two that stop are equal. The pass exports the one for unwinding first; where only
        // one is left, it serves both.
        let mut fitting: Box<dyn Iterator<Item = (&str, u32)>> = match role.sets() {
            Some(value) => {
                let is = move |shape: &Shape| shape.globals == globals && shape.sets == value;
                let fitting = shaped.iter().filter(move |(.., shape)| is(shape));
                Box::new(fitting.map(|(name, index, _)| (*name, *index)))
            }
            None => {
                let exported = parsed.exported(ExternalKind::Func);
                Box::new(exported.filter(|(_, index)| reads(parsed, *index, globals.state)))
            }
        };
        let first = fitting.next();
        let found = if role == Role::StopRewind { fitting.next().or(first) } else { first };
        if let Some((name, index)) = found {
            roles.push((role, name, index));
        }
    }
    // Exported globals do all that the functions do, so those may then be gone.
    if exported.is_none() {
        let present = roles.first().map_or("", |(_, name, _)| name);
        for role in Role::ALL.into_iter().filter(|role| *role != Role::GetState) {
            if !roles.iter().any(|(found, ..)| *found == role) {
                return Err(missing(present, role));
            }
        }
    }
    Ok(Some(Asyncify { globals, roles }))
}

fn missing(present: &str, role: Role) -> Error {
    Error::MissingAsyncifyExport { present: present.to_owned(), missing: role.name().to_owned() }
}

/// The exports that carry Asyncify's names, each with the right type.
fn named<'a>(parsed: &Parsed<'a>) -> Result<Vec<(Role, &'a str, u32)>> {
    let mut roles = Vec::new();
    for export in &parsed.exports {
        let Some(role) = Role::ALL.into_iter().find(|role| role.name() == export.name) else {
            continue;
        };
        if export.kind != ExternalKind::Func || !role.is_typed(parsed, export.index) {
            return Err(Error::AsyncifyExportType {
                name: export.name.to_owned(),
                expected: format!("a function {}", role.type_name(parsed)),
                found: match (export.kind, parsed.function_type(export.index)) {
                    (ExternalKind::Func, Some(ty)) => format!("a function {}", describe(ty)),
                    (ExternalKind::Func, None) => "a function of no known type".to_owned(),
                    (ExternalKind::Memory, _) => "a memory".to_owned(),
                    (ExternalKind::Global, _) => "a global".to_owned(),
                    _ => "a table or a tag".to_owned(),
                },
            });
        }
        roles.push((role, export.name, export.index));
    }
    Ok(roles)
}

fn describe(ty: &FuncType) -> String {
    let list =
        |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("({}) -> ({})", list(ty.params()), list(ty.results()))
}

fn exported_globals(parsed: &Parsed<'_>) -> Option<Globals> {
    let find = |wanted| {
        let mut exports = parsed.exported(ExternalKind::Global);
        exports.find(|(name, _)| *name == wanted).map(|(_, index)| index)
    };
    let globals = Globals { state: find(STATE)?, data: find(DATA)? };
    are_typed(parsed, globals).then_some(globals)
}

fn are_typed(parsed: &Parsed<'_>, globals: Globals) -> bool {
    let is = |index, ty| {
        let global = parsed.global(index);
        global.is_some_and(|global| global.ty.mutable && global.ty.content_type == ty)
    };
    globals.state != globals.data
        && is(globals.state, ValType::I32)
        && is(globals.data, parsed.width().value_type())
}

/// What a function does that is built as the pass builds its own.
struct Shape {
    globals: Globals,
    sets: i32,
}

/// Reads the one shape that Asyncify's functions have:
///
/// ```wat
/// (global.set $state (i32.const 1))    ;; or 2, or 0
/// (global.set $data (local.get 0))     ;; only those that start
/// (if (i32.gt_u (i32.load (global.get $data)) (i32.load offset=4 (global.get $data)))
///   (then (unreachable)))
/// ```
///
/// Optimizers may swap the two sets, turn the comparison round, or use the parameter in it.
fn shape(parsed: &Parsed<'_>, function: u32) -> Option<Shape> {
    let operators = short_body(parsed.body(function)?, LONGEST)?;
    let (mut sets, mut state, mut start_data) = (None, None, None);
    let mut rest = operators.as_slice();
    loop {
        match rest {
            [Operator::I32Const { value }, Operator::GlobalSet { global_index }, tail @ ..]
                if state.is_none() =>
            {
                (sets, state, rest) = (Some(*value), Some(*global_index), tail);
            }
            [
                Operator::LocalGet { local_index: 0 },
                Operator::GlobalSet { global_index },
                tail @ ..,
            ] if start_data.is_none() => {
                (start_data, rest) = (Some(*global_index), tail);
            }
            _ => break,
        }
    }
    let data = check(rest, start_data, parsed.width().bytes().into())?;
    let shape = Shape { globals: Globals { state: state?, data }, sets: sets? };
    let role = match (shape.sets, start_data) {
        (1, Some(_)) => Role::StartUnwind,
        (2, Some(_)) => Role::StartRewind,
        (0, None) => Role::StopUnwind,
        _ => return None,
    };
    (role.is_typed(parsed, function) && are_typed(parsed, shape.globals)).then_some(shape)
}

/// The data global in the check that every one of the functions ends with.
fn check(operators: &[Operator<'_>], data: Option<u32>, end_offset: u64) -> Option<u32> {
    let mut found = data;
    let (mut position, mut end, mut compared, mut traps) = (0, 0, 0, 0);
    for operator in operators {
        match operator {
            Operator::GlobalGet { global_index } => {
                if *found.get_or_insert(*global_index) != *global_index {
                    return None;
                }
            }
            Operator::LocalGet { local_index: 0 } if data.is_some() => {}
            Operator::I32Load { memarg } | Operator::I64Load { memarg } => match memarg.offset {
                0 => position += 1,
                offset if offset == end_offset => end += 1,
                _ => return None,
            },
            Operator::I32GtU
            | Operator::I32LtU
            | Operator::I32GeU
            | Operator::I32LeU
            | Operator::I64GtU
            | Operator::I64LtU
            | Operator::I64GeU
            | Operator::I64LeU => {
                compared += 1;
            }
            Operator::Unreachable => traps += 1,
            Operator::If { .. }
            | Operator::Else
            | Operator::Block { .. }
            | Operator::BrIf { .. }
            | Operator::I32Eqz
            | Operator::Return
            | Operator::End => {}
            _ => return None,
        }
    }
    ((position, end, compared, traps) == (1, 1, 1, 1)).then_some(found?)
}

/// Whether a function does nothing but answer the global `state`.
fn reads(parsed: &Parsed<'_>, function: u32, state: u32) -> bool {
    let operators = parsed.body(function).and_then(|body| short_body(body, LONGEST));
    matches!(
        operators.as_deref(),
        Some([Operator::GlobalGet { global_index }, Operator::End]) if *global_index == state
    ) && Role::GetState.is_typed(parsed, function)
}
