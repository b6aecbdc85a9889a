//! Finds the shadow stack pointer, and the bounds of the guest's own stack.
//!
//! A name, or the functions that compilers make for moving it, say which global it is. Without
//! them, what the code does with each global is weighed: functions that lower it, use that as an
//! address and put it back speak for it, and any other use speaks against it. It is certain only
//! where something speaks for one global and nothing against it.

use std::collections::BTreeMap;
use std::ops::Range;

use wasmparser::{ExternalKind, Operator};

use super::control::Globals;
use super::found::FoundBy;
use super::parse::{DataStart, Global, Parsed, short_body};
use super::writes::Usage;
use crate::error::{Name, Names};

/// LLVM's name for it, and that in the runtime of AssemblyScript which collects garbage.
const NAMES: [&str; 2] = ["__stack_pointer", "~lib/memory/__stack_pointer"];
/// Functions that do nothing but read or move it: Emscripten's, older ones of Emscripten, and
/// wasm-bindgen's.
const FUNCTIONS: [&str; 5] = [
    "emscripten_stack_get_current",
    "_emscripten_stack_restore",
    "stackSave",
    "stackRestore",
    "__wbindgen_add_to_stack_pointer",
];
/// A longer body does more than move the stack pointer.
const LONGEST: usize = 64;
/// The tool conventions' alignment of the shadow stack.
const ALIGNMENT: u64 = 16;
const PAGE: u64 = 64 << 10;
/// So many globals are listed in a message.
const LISTED: usize = 8;

pub(super) enum Found {
    Global(u32, FoundBy),
    Absent,
    Uncertain(String),
}

/// The globals that may be it, by type: for each global, whether it is mutable, as wide as an
/// address, and not Asyncify's.
pub(super) fn possible(parsed: &Parsed<'_>, asyncify: Option<Globals>) -> Vec<bool> {
    let pointer = parsed.width().value_type();
    let possible = |(index, global): (u32, &Global<'_>)| {
        global.ty.mutable
            && global.ty.content_type == pointer
            && !asyncify.is_some_and(|asyncify| asyncify.contains(index))
    };
    parsed.indexed_globals().map(possible).collect()
}

/// What is certain of itself, whatever the code does.
pub(super) fn named(parsed: &Parsed<'_>, possible: &[bool]) -> Option<Found> {
    let is_possible =
        |index: u32| usize::try_from(index).is_ok_and(|index| possible.get(index) == Some(&true));
    if let Some((index, name)) = by_name(parsed, is_possible) {
        return Some(Found::Global(index, FoundBy::Name(name.to_owned())));
    }
    match by_functions(parsed, is_possible) {
        (Some(index), names) => Some(Found::Global(index, FoundBy::Functions(names))),
        (None, names) if !names.is_empty() => {
            Some(Found::Uncertain(format!("{} use different globals", Names(&names))))
        }
        (None, _) => None,
    }
}

fn by_name(parsed: &Parsed<'_>, is_possible: impl Fn(u32) -> bool) -> Option<(u32, &'static str)> {
    let exports: Vec<_> = parsed.exported(ExternalKind::Global).collect();
    NAMES.into_iter().find_map(|name| {
        let mut section = parsed.global_names.iter().filter(|(_, found)| **found == name);
        let mut imported = parsed
            .indexed_globals()
            .filter(|(_, global)| global.import.is_some_and(|(_, found)| found == name));
        let index = section
            .find_map(|(index, _)| is_possible(*index).then_some(*index))
            .or_else(|| imported.find_map(|(index, _)| is_possible(index).then_some(index)))
            .or_else(|| {
                let mut exports = exports.iter().filter(|(found, _)| *found == name);
                exports.find_map(|(_, index)| is_possible(*index).then_some(*index))
            });
        Some((index?, name))
    })
}

/// The one global that the functions made for moving the stack pointer use, with their names.
///
/// Names without a global mean that they do not agree.
fn by_functions(
    parsed: &Parsed<'_>,
    is_possible: impl Fn(u32) -> bool,
) -> (Option<u32>, Vec<String>) {
    let exported = parsed.exported(ExternalKind::Func).map(|(name, index)| (index, name));
    let mut functions: Vec<_> = parsed
        .function_names
        .iter()
        .map(|(index, name)| (*index, *name))
        .chain(exported)
        .filter_map(|(index, name)| {
            let position = FUNCTIONS.iter().position(|known| *known == name)?;
            Some((position, index))
        })
        .collect();
    // Names come out of a map in no order.
    functions.sort_unstable();
    functions.dedup();
    let mut used: Option<u32> = None;
    let mut names = Vec::new();
    for (position, function) in functions {
        let Some(global) = only_global(parsed, function, &is_possible) else {
            continue;
        };
        names.extend(FUNCTIONS.get(position).map(|name| (*name).to_owned()));
        if *used.get_or_insert(global) != global {
            return (None, names);
        }
    }
    (used, names)
}

/// The global that a short function uses, if it is only one that may be the stack pointer.
fn only_global(
    parsed: &Parsed<'_>,
    function: u32,
    is_possible: impl Fn(u32) -> bool,
) -> Option<u32> {
    let mut used =
        short_body(parsed.body(function)?, LONGEST)?.into_iter().filter_map(|operator| {
            match operator {
                Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                    is_possible(global_index).then_some(global_index)
                }
                _ => None,
            }
        });
    let first = used.next()?;
    used.all(|other| other == first).then_some(first)
}

/// The one global that is used as a stack pointer is, and starts at a stack's top.
pub(super) fn by_use(parsed: &Parsed<'_>, usage: &BTreeMap<u32, Usage>) -> Found {
    let (mut fitting, mut doubtful) = (Vec::new(), Vec::new());
    // One that is never written is none.
    for (index, usage) in usage {
        let start = parsed.global(*index).and_then(|global| global.start);
        let starts = start.is_some_and(|start| starts_a_stack(start, parsed.memory_size()));
        if starts && usage.framed > 0 && !usage.misused {
            fitting.push((*index, usage.framed));
        } else if starts || start.is_none() || usage.lowered && !is_sum(parsed, *index, *usage) {
            doubtful.push((*index, usage.framed));
        }
    }
    let rivals = doubtful.iter().any(|(_, framed)| *framed > 0);
    match fitting.as_slice() {
        [] if doubtful.is_empty() => Found::Absent,
        [(index, functions)] if !rivals => {
            Found::Global(*index, FoundBy::Use { functions: *functions })
        }
        several => {
            let all = several.iter().chain(&doubtful).map(|(index, _)| *index);
            // Emscripten's, under whatever names; among these, so that something speaks for it.
            if let Some((index, names)) = moved_by_exports(parsed, several) {
                return Found::Global(index, FoundBy::Functions(names));
            }
            Found::Uncertain(list(parsed, usage, all.collect()))
        }
    }
}

fn starts_a_stack(start: u64, memory_size: u64) -> bool {
    start != 0 && start.is_multiple_of(ALIGNMENT) && start <= memory_size
}

/// Whether a global is the sum of what was added and taken, from 0: of bytes in use, say, which
/// are taken from it as a frame is. A stack pointer that starts at 0 is set before it is used.
fn is_sum(parsed: &Parsed<'_>, index: u32, usage: Usage) -> bool {
    let starts_at_zero = parsed.global(index).is_some_and(|global| global.start == Some(0));
    let exported = parsed.exported(ExternalKind::Global).any(|(_, exported)| exported == index);
    starts_at_zero && !exported && !usage.assigned && usage.misused && usage.framed == 0
}

/// The one of several globals that an export reads and another sets, as Emscripten's two
/// functions do under whatever names.
fn moved_by_exports(parsed: &Parsed<'_>, several: &[(u32, u32)]) -> Option<(u32, Vec<String>)> {
    let pointer = [parsed.width().value_type()];
    let (mut getters, mut setters) = (BTreeMap::new(), BTreeMap::new());
    for (name, function) in parsed.exported(ExternalKind::Func) {
        let Some(body) = parsed.body(function) else {
            continue;
        };
        match short_body(body, LONGEST).as_deref() {
            Some([Operator::GlobalGet { global_index }, Operator::End])
                if parsed.has_type(function, &[], &pointer) =>
            {
                getters.entry(*global_index).or_insert(name);
            }
            Some(
                [
                    Operator::LocalGet { local_index: 0 },
                    Operator::GlobalSet { global_index },
                    Operator::End,
                ],
            ) if parsed.has_type(function, &pointer, &[]) => {
                setters.entry(*global_index).or_insert(name);
            }
            _ => {}
        }
    }
    let mut moved = several.iter().filter_map(|(index, _)| {
        let names = [getters.get(index)?, setters.get(index)?];
        Some((*index, names.map(|name| (*name).to_owned()).to_vec()))
    });
    let found = moved.next()?;
    moved.next().is_none().then_some(found)
}

fn list(parsed: &Parsed<'_>, usage: &BTreeMap<u32, Usage>, mut globals: Vec<u32>) -> String {
    globals.sort_unstable();
    let mut listed: Vec<_> = globals
        .iter()
        .take(LISTED)
        .filter_map(|index| {
            let global = parsed.global(*index)?;
            let named = parsed.global_names.get(index).copied();
            let name =
                named.or(global.import.map(|(_, name)| name)).filter(|name| name.len() <= 64);
            let name = name.map_or(String::new(), |name| format!(" ({})", Name(name)));
            let start = match global.start {
                Some(start) => format!("global {index}{name}, which starts at {start:#x}"),
                None => format!("global {index}{name}, whose start is not a constant"),
            };
            let misused = usage.get(index).is_some_and(|usage| usage.misused);
            Some(start + if misused { " and is written as no stack pointer is" } else { "" })
        })
        .collect();
    if globals.len() > LISTED {
        listed.push(format!("{} more", globals.len() - LISTED));
    }
    format!("it may be {}", listed.join(", or "))
}

/// The addresses that the guest's own stack may take, where its top is known: from its end, or
/// from the end of the data below it.
pub(super) fn stack_bounds(
    parsed: &Parsed<'_>,
    stack_pointer: u32,
    stack_size: Option<u64>,
) -> Option<Range<u64>> {
    let top = parsed.global(stack_pointer)?.start?;
    let bottom = match stack_size {
        Some(size) => top.checked_sub(size)?,
        None => {
            let below = parsed.data.iter().filter(|data| data.start < top);
            below.map(|data| data.end).max().unwrap_or_default()
        }
    };
    (bottom < top).then_some(bottom..top)
}

/// The size of the stack that `stack_pointer` starts at the top of, where that can be told.
pub(super) fn stack_size(parsed: &Parsed<'_>, stack_pointer: u32) -> Option<u64> {
    let top = parsed.global(stack_pointer)?.start?;
    // Below all data there is nothing else: linkers place the stack first, or the data.
    if let DataStart::At(lowest) = parsed.data_start
        && lowest >= top
    {
        return Some(top);
    }
    let named = constant(parsed, "__stack_low")
        .or_else(|| constant(parsed, "__data_end")?.checked_next_multiple_of(ALIGNMENT));
    // All data is zero, and no segment tells where that lies. Below the stack it would push the top
    // up by its own odd size.
    let zeroed = matches!(parsed.data_start, DataStart::Empty) && top.is_multiple_of(PAGE);
    let bottom = named.or_else(|| emscripten_end(parsed, top)).or(zeroed.then_some(0))?;
    top.checked_sub(bottom).filter(|size| *size > 0)
}

/// The value of an immutable global by one of its names.
fn constant(parsed: &Parsed<'_>, name: &str) -> Option<u64> {
    let named = parsed.global_names.iter().map(|(index, found)| (*found, *index));
    let index =
        parsed.exported(ExternalKind::Global).chain(named).find(|(found, _)| *found == name)?.1;
    let global = parsed.global(index)?;
    if global.ty.mutable { None } else { global.start }
}

/// The end of the stack that Emscripten's initializer sets, beside `top`.
fn emscripten_end(parsed: &Parsed<'_>, top: u64) -> Option<u64> {
    let function = parsed.exported_function("emscripten_stack_init")?;
    let operators = short_body(parsed.body(function)?, LONGEST)?;
    let set: Vec<u64> = operators
        .windows(2)
        .filter_map(|pair| match pair {
            [Operator::I32Const { value }, Operator::GlobalSet { .. }] => {
                Some(value.cast_unsigned().into())
            }
            [Operator::I64Const { value }, Operator::GlobalSet { .. }] => {
                Some(value.cast_unsigned())
            }
            _ => None,
        })
        .collect();
    match set.as_slice() {
        [base, end] | [end, base] if *base == top && *end < top => Some(*end),
        _ => None,
    }
}
