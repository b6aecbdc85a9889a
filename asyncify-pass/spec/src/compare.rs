//! What an action did, in words that are equal where two worlds did the same.

use wasmtime::{
    AnyRef, AsContext, AsContextMut, ExnRef, Extern, ExternRef, Ref, Result, RootScope, Rooted,
    StoreContextMut, ThrownException, Trap, Val,
};

use crate::worlds::{Guest, Host, UnknownImport, World};

/// Memories are compared whole up to this size, larger ones at both ends.
const WHOLE: usize = 64 << 20;

/// How much of a larger memory is compared at each end.
const ENDS: usize = 1 << 20;

/// How many of a table's elements are compared.
const ELEMENTS: u64 = 64;

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Values(Vec<String>),
    Trap(Trap),
    Exception(String),
    /// The module's imports don't fit.
    Unlinkable,
    Other(String),
}

impl Outcome {
    pub(crate) fn of<T>(
        store: &mut StoreContextMut<'_, Host>,
        ended: Result<T>,
        values: impl FnOnce(&mut StoreContextMut<'_, Host>, T) -> Vec<String>,
    ) -> Self {
        let error = match ended {
            Ok(value) => return Self::Values(values(store, value)),
            Err(error) => error,
        };
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Self::Trap(*trap);
        }
        if error.is::<ThrownException>() {
            let exception = store.take_pending_exception();
            return Self::Exception(
                exception.map_or_else(|| "none is pending".to_owned(), |exn| thrown(store, exn)),
            );
        }
        if error.is::<UnknownImport>() || format!("{error:#}").contains("incompatible import type")
        {
            return Self::Unlinkable;
        }
        Self::Other(format!("{error:#}"))
    }

    /// Whether ours may end so where the control ended as `control` says. Where the stack is
    /// exhausted, ours may run out of memory for its frames first.
    pub(crate) fn fits(&self, control: &Self) -> bool {
        let exhausted = matches!(control, Self::Trap(Trap::StackOverflow))
            && matches!(self, Self::Trap(Trap::StackOverflow | Trap::MemoryOutOfBounds));
        exhausted || self == control
    }
}

/// An exception's payload.
fn thrown(store: &mut StoreContextMut<'_, Host>, exception: Rooted<ExnRef>) -> String {
    let count = exception.ty(&*store).map_or(0, |ty| ty.fields().len());
    let fields: Vec<_> = (0..count)
        .map(|index| match exception.field(&mut *store, index) {
            Ok(value) => describe(store, &value),
            Err(error) => format!("{error:#}"),
        })
        .collect();
    format!("[{}]", fields.join(", "))
}

/// A value: bits of numbers, values of host references, kinds of others.
pub(crate) fn describe(store: &mut StoreContextMut<'_, Host>, value: &Val) -> String {
    match value {
        Val::I32(value) => format!("i32 {value}"),
        Val::I64(value) => format!("i64 {value}"),
        Val::F32(bits) => format!("f32 {bits:#010x}"),
        Val::F64(bits) => format!("f64 {bits:#018x}"),
        Val::V128(value) => format!("v128 {:#034x}", value.as_u128()),
        Val::FuncRef(func) => match func {
            Some(func) => format!("func {}", func.ty(&*store)),
            None => "null func".to_owned(),
        },
        Val::ExternRef(None) => "null extern".to_owned(),
        Val::ExternRef(Some(reference)) => {
            let text = host_value(store, *reference).or_else(|| {
                let inner = AnyRef::convert_extern(&mut *store, *reference).ok()?;
                Some(any(store, inner))
            });
            format!("extern {}", text.unwrap_or_default())
        }
        Val::AnyRef(None) => "null any".to_owned(),
        Val::AnyRef(Some(reference)) => any(store, *reference),
        Val::ExnRef(None) => "null exn".to_owned(),
        Val::ExnRef(Some(exception)) => format!("exn {}", thrown(store, *exception)),
        Val::ContRef(_) => "cont".to_owned(),
    }
}

fn host_value(
    store: &mut StoreContextMut<'_, Host>,
    reference: Rooted<ExternRef>,
) -> Option<String> {
    let data = reference.data(store.as_context()).ok()??;
    data.downcast_ref::<u32>().map(|value| format!("host {value}"))
}

fn any(store: &mut StoreContextMut<'_, Host>, reference: Rooted<AnyRef>) -> String {
    if let Ok(Some(value)) = reference.as_i31(&*store) {
        return format!("i31 {}", value.get_u32());
    }
    let kind = if reference.is_struct(&*store).unwrap_or(false) {
        "struct"
    } else if reference.is_array(&*store).unwrap_or(false) {
        "array"
    } else if let Ok(reference) = ExternRef::convert_any(&mut *store, reference) {
        return host_value(store, reference).unwrap_or_else(|| "any".to_owned());
    } else {
        "any"
    };
    kind.to_owned()
}

/// What differs in the exports of an instance that both worlds have.
pub(crate) fn states(
    (control, plain): (&mut World, &Guest),
    (ours, driven): (&mut World, &Guest),
    exports: &[String],
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut control = RootScope::new(&mut control.store);
    let mut ours = RootScope::new(&mut ours.store);
    for name in exports {
        let (Some(a), Some(b)) = (
            plain.instance.get_export(&mut control, name),
            driven.instance.get_export(&mut ours, name),
        ) else {
            differences.push(format!("export `{name}` is gone"));
            continue;
        };
        let (a, b) = match (a, b) {
            (Extern::Memory(a), Extern::Memory(b)) => {
                let (a, b) = (a.data(&control), b.data(&ours));
                if !same_bytes(a, b) {
                    let at = a.iter().zip(b).position(|(a, b)| a != b);
                    let (a, b) = (a.len(), b.len());
                    differences.push(format!("memory `{name}`: sizes {a}, {b}, from {at:?} on"));
                }
                continue;
            }
            (Extern::SharedMemory(a), Extern::SharedMemory(b)) => {
                (a.size().to_string(), b.size().to_string())
            }
            (Extern::Global(a), Extern::Global(b)) => {
                let (a, b) = (a.get(&mut control), b.get(&mut ours));
                (
                    describe(&mut control.as_context_mut(), &a),
                    describe(&mut ours.as_context_mut(), &b),
                )
            }
            (Extern::Table(a), Extern::Table(b)) => {
                (table(&mut control.as_context_mut(), a), table(&mut ours.as_context_mut(), b))
            }
            (Extern::Func(_), Extern::Func(_)) | (Extern::Tag(_), Extern::Tag(_)) => continue,
            _ => ("an export".to_owned(), "another kind".to_owned()),
        };
        if a != b {
            differences.push(format!("`{name}` is {a} in the control, {b} in ours"));
        }
    }
    differences
}

fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() || a.len() <= WHOLE {
        return a == b;
    }
    a[..ENDS] == b[..ENDS] && a[a.len() - ENDS..] == b[b.len() - ENDS..]
}

/// A table's size, and which of its elements are null.
fn table(store: &mut StoreContextMut<'_, Host>, table: wasmtime::Table) -> String {
    let size = table.size(&*store);
    let nulls: String = (0..size.min(ELEMENTS))
        .map(|index| match table.get(&mut *store, index).as_ref().map(Ref::is_null) {
            Some(true) => '0',
            Some(false) => '1',
            None => '?',
        })
        .collect();
    format!("a table of {size}: {nulls}")
}
