//! Finds Asyncify's functions and its two globals, by name or by what the functions do.

use std::collections::HashMap;

use wasmparser::{ExternalKind, FuncType, Operator, ValType};

use super::control::{Control, Globals, control};
use super::parse::{Parsed, short_body};
use crate::error::{Error, Result};

/// A longer body does more than answer the state.
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
    pub(super) fn sets(self) -> Option<i32> {
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

pub(super) struct Asyncify<'a> {
    pub(super) globals: Globals,
    roles: Vec<(Role, &'a str, u32)>,
}

impl<'a> Asyncify<'a> {
    /// The export that plays `role`.
    pub(super) fn export(&self, role: Role) -> Option<&'a str> {
        self.roles.iter().find(|(found, ..)| *found == role).map(|(_, name, _)| *name)
    }

    /// What `function` does, if it is one of Asyncify's own that set the state.
    pub(super) fn sets(&self, function: u32) -> Option<Role> {
        let mut roles = self.roles.iter();
        let found = roles.find(|(role, _, index)| *index == function && role.sets().is_some());
        found.map(|(role, ..)| *role)
    }

    /// Whether the module leaves the state alone, outside of bodies: no one else can reach the
    /// global, and nothing but the exports of their roles leads to the functions that set it.
    pub(super) fn is_sealed(&self, parsed: &Parsed<'_>) -> bool {
        let is_role = |name| self.roles.iter().any(|(_, role, _)| *role == name);
        parsed.global(self.globals.state).is_some_and(|global| global.import.is_none())
            && parsed.referenced.iter().all(|function| self.sets(*function).is_none())
            && parsed
                .exported(ExternalKind::Func)
                .all(|(name, function)| is_role(name) || self.sets(function).is_none())
    }

    /// Whether `function` is one of Asyncify's own.
    pub(super) fn owns(&self, function: u32) -> bool {
        self.roles.iter().any(|(.., index)| *index == function)
    }
}

/// Asyncify's parts in an instrumented module, nothing in another.
pub(super) fn find<'a>(parsed: &Parsed<'a>) -> Result<Option<Asyncify<'a>>> {
    let mut roles = named(parsed)?;
    // One function may have many exports.
    let mut works = HashMap::new();
    let mut work = |index| *works.entry(index).or_insert_with(|| work(parsed, index));
    let exported = parsed.exported(ExternalKind::Func);
    let working: Vec<_> =
        exported.filter_map(|(name, index)| Some((name, index, work(index)?))).collect();
    // A name is the better evidence: a module without names has such functions only once anyway.
    let by_name =
        working.iter().find(|(_, index, _)| roles.iter().any(|(.., named)| named == index));
    let exported = exported_globals(parsed);
    let by_work = by_name.or(working.first()).map(|(.., work)| work.globals);
    let Some(globals) = exported.or(by_work) else {
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
                let is = move |work: &Control| work.globals == globals && work.state == value;
                let fitting = working.iter().filter(move |(.., work)| is(work));
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

/// What a function does that works as one of Asyncify's, with the type of that one.
fn work(parsed: &Parsed<'_>, function: u32) -> Option<Control> {
    let work = control(parsed, function)?;
    let role = match (work.state, work.starts) {
        (1, true) => Role::StartUnwind,
        (2, true) => Role::StartRewind,
        (0, false) => Role::StopUnwind,
        _ => return None,
    };
    (role.is_typed(parsed, function) && are_typed(parsed, work.globals)).then_some(work)
}

/// Whether a function does nothing but answer the global `state`.
fn reads(parsed: &Parsed<'_>, function: u32, state: u32) -> bool {
    let operators = parsed.body(function).and_then(|body| short_body(body, LONGEST));
    matches!(
        operators.as_deref(),
        Some([Operator::GlobalGet { global_index }, Operator::End]) if *global_index == state
    ) && Role::GetState.is_typed(parsed, function)
}
