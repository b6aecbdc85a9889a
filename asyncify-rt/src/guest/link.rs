//! From a module to a guest: what is checked, and what the runtime drives it by.

mod call_globals;
mod faults;
mod names;

pub(crate) use faults::tell;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wasmtime::{Extern, ExternType, Instance, Linker, Memory, MemoryType, Store};

use super::Guest;
use super::builder::{Settings, StackPointerSetting};
use crate::error::{Error, ImportMismatch, Name, Result, nearest, signature_of};
use crate::imports::AsyncImports;
use crate::module::{Allocator, Findings, MemoryFinding, Module, MutableGlobal, StackPointer};
use crate::parts::lock::Lock;
use crate::parts::machine::MaySuspend;
use crate::parts::shadow::{ShadowStack, StackPolicy};
use crate::parts::window::Window;
use crate::store::{
    Asyncify, Export, Guard, Hooks, Inner, PerCall, Pointer, Room, State, Vm, Watch,
};

pub(crate) fn instantiation(error: wasmtime::Error) -> Error {
    Error::Instantiate { source: error.into() }
}

/// A suspending import in a module that cannot suspend there is told before anything runs.
pub(crate) fn check_instrumentation<T: Send + 'static>(
    module: &Module,
    imports: &AsyncImports<T>,
    trust: bool,
) -> Result<()> {
    let asked: Vec<_> = module.wasmtime().imports().collect();
    let bound = |(from, name): &(&str, &str)| {
        asked.iter().any(|import| import.module() == *from && import.name() == *name)
    };
    let suspending: Vec<_> = imports.suspending_imports().filter(bound).collect();
    if suspending.is_empty() {
        return Ok(());
    }
    let findings = module.findings();
    if findings.asyncify().is_none() {
        return Err(Error::NotInstrumented {
            suspending: suspending.iter().map(|(from, name)| format!("{from}.{name}")).collect(),
            wasm_opt_args: imports.wasm_opt_args(),
            mismatches: Vec::new(),
        });
    }
    if trust {
        return Ok(());
    }
    if let Some((import, functions)) =
        findings.uninstrumented_callers(&suspending).into_iter().next()
    {
        let wasm_opt_args = imports.wasm_opt_args();
        return Err(Error::UninstrumentedCaller { import, functions, wasm_opt_args });
    }
    let left_out = findings.uninstrumented();
    if left_out.is_empty() {
        return Ok(());
    }
    let functions = left_out.into_iter().map(str::to_owned).collect();
    Err(Error::LeftOut { functions, import: None })
}

/// The functions and tables that the module imports and `linker` has, by the number of the import:
/// by these, others may be called.
pub(crate) fn reachable<T: Send + 'static>(
    module: &Module,
    linker: &Linker<State<T>>,
    store: &mut Store<State<T>>,
) -> Vec<usize> {
    let imports = module.wasmtime().imports().enumerate();
    let leads_out = imports.filter(|(_, import)| match import.ty() {
        ExternType::Func(_) | ExternType::Table(_) => true,
        ExternType::Global(global) => global.content().is_ref(),
        ExternType::Memory(_) | ExternType::Tag(_) => false,
    });
    let is_there = leads_out
        .filter(|(_, import)| linker.get(&mut *store, import.module(), import.name()).is_ok());
    is_there.map(|(number, _)| number).collect()
}

/// An imported memory that nobody defines is made, to the limits the module declares.
pub(crate) fn define_memory<T: Send + 'static>(
    module: &Module,
    linker: &mut Linker<State<T>>,
    store: &mut Store<State<T>>,
) -> Result<()> {
    for import in module.wasmtime().imports() {
        let ExternType::Memory(ty) = import.ty() else {
            continue;
        };
        if linker.get(&mut *store, import.module(), import.name()).is_err() {
            let memory = Memory::new(&mut *store, ty).map_err(instantiation)?;
            linker
                .define(&mut *store, import.module(), import.name(), memory)
                .map_err(instantiation)?;
        }
    }
    Ok(())
}

pub(crate) fn check_imports<T: Send + 'static>(
    module: &Module,
    linker: &Linker<State<T>>,
    store: &mut Store<State<T>>,
) -> Result<()> {
    /// A guest may ask for any number of imports.
    const COMPARED: usize = 100;
    let mut mismatches = Vec::new();
    for import in module.wasmtime().imports() {
        let (wanted, name) = (import.ty(), format!("{}.{}", import.module(), import.name()));
        let defined = linker.get(&mut *store, import.module(), import.name());
        let defined = defined.ok().map(|item| item.ty(&*store));
        let fits = match (&wanted, &defined) {
            (ExternType::Func(wanted), Some(ExternType::Func(defined))) => defined.matches(wanted),
            // The engine compares the limits of these.
            (ExternType::Memory(_), Some(ExternType::Memory(_)))
            | (ExternType::Table(_), Some(ExternType::Table(_)))
            | (ExternType::Global(_), Some(ExternType::Global(_))) => true,
            _ => false,
        };
        if !fits {
            mismatches.push(ImportMismatch {
                import: name,
                renamed: None,
                wanted: describe(&wanted),
                defined: defined.as_ref().map(describe),
                similar: None,
            });
        }
    }
    if mismatches.is_empty() {
        return Ok(());
    }
    let spare = spare_functions(module, linker, store);
    let undefined = mismatches.iter_mut().filter(|mismatch| mismatch.defined.is_none());
    for mismatch in undefined.take(COMPARED) {
        let similar = nearest(&mismatch.import, spare.iter().map(String::as_str));
        mismatch.similar = similar.map(str::to_owned);
    }
    Err(Error::Imports(mismatches))
}

/// The functions that the host offers and the module does not ask for.
fn spare_functions<T: Send + 'static>(
    module: &Module,
    linker: &Linker<State<T>>,
    store: &mut Store<State<T>>,
) -> Vec<String> {
    let asked: Vec<_> = module.wasmtime().imports().collect();
    let spare = linker.iter(store).filter(|(from, name, item)| {
        matches!(item, Extern::Func(_))
            && !asked.iter().any(|import| import.module() == *from && import.name() == *name)
    });
    spare.map(|(from, name, _)| format!("{from}.{name}")).collect()
}

fn describe(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => signature_of(ty),
        ExternType::Global(ty) => format!("a global of type {}", ty.content()),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(ty) => describe_memory(ty),
        ExternType::Tag(_) => "a tag".to_owned(),
    }
}

fn describe_memory(ty: &MemoryType) -> String {
    match ty.maximum() {
        Some(maximum) => format!("a memory of {} to {maximum} pages", ty.minimum()),
        None => format!("a memory of {} pages or more", ty.minimum()),
    }
}

/// Makes a guest of an instance: finds what the runtime drives it by.
pub(crate) fn assemble<T: Send + 'static>(
    module: &Module,
    mut store: Store<State<T>>,
    instance: Instance,
    settings: Settings,
    hooks: Option<Arc<dyn Hooks<T>>>,
) -> Result<Guest<T>> {
    let findings = module.findings();
    let mut all: HashMap<String, Extern> = instance
        .exports(&mut store)
        .map(|export| (export.name().to_owned(), export.clone().into_extern()))
        .collect();
    let hidden: HashSet<&str> = findings
        .asyncify()
        .into_iter()
        .flat_map(|asyncify| asyncify.functions().chain([asyncify.state(), asyncify.data()]))
        .chain(findings.added_exports().iter().map(String::as_str))
        .collect();
    let mut exports = module
        .wasmtime()
        .exports()
        .filter(|export| !hidden.contains(export.name()))
        .filter_map(|export| {
            let item = all.get(export.name())?.clone();
            Some(Export { name: export.name().into(), item, ty: export.ty() })
        })
        .collect();
    names::rename_exports(&mut exports, &mut all, &settings.renamed_exports)?;
    let holder = Arc::clone(&store.data().rt.holder);
    let mail = Arc::clone(&store.data().rt.mail);
    let budget = settings.budget.if_any();
    let turns = (settings.policy == Some(StackPolicy::Exclusive)).then(Arc::default);
    let whole = settings.check_frames;
    let others = settings.has_others && !settings.trusts;
    let drives = findings.drives() && !settings.trusts;
    let watch = (whole || others || drives).then(|| Watch {
        module: module.clone(),
        whole,
        by_another: false,
    });
    let causes = findings.causes(settings.has_others).into();
    let pointer = pointer(findings, settings.stack_pointer.as_ref())?;
    let known = pointer.as_ref().ok().map(String::as_str);
    let call_globals = call_globals::find(findings, &settings.call_globals, known)?;
    let call_globals =
        call_globals.iter().filter_map(|export| all.get(export)?.clone().into_global());
    let per_call = PerCall::new(&mut Vm::of(&mut store), call_globals.collect(), hooks);
    store.data_mut().per_call = per_call;
    link_runtime(&mut Vm::of(&mut store), findings, all, settings, pointer)?;
    store.data_mut().rt.budget = budget;
    store.data_mut().rt.turns.clone_from(&turns);
    store.data_mut().rt.suspension.watch = watch;
    store.data_mut().rt.causes = causes;
    let inner = Arc::new_cyclic(|weak| {
        store.data_mut().guest = weak.clone();
        let lock = Lock::new(store, Arc::clone(&holder));
        Inner { lock, holder, mail, turns, exports }
    });
    Ok(Guest::from_inner(inner))
}

fn link_runtime<T: Send + 'static>(
    vm: &mut Vm<'_, T>,
    findings: &Findings,
    mut exports: HashMap<String, Extern>,
    settings: Settings,
    pointer: std::result::Result<String, Pointer>,
) -> Result<()> {
    let missing = |name: &str| {
        Error::Config(format!("the instance has no export {}; it is of another module", Name(name)))
    };
    let global = |name: &str| match exports.get(name) {
        Some(Extern::Global(global)) => Ok(*global),
        _ => Err(missing(name)),
    };
    let asyncify = match findings.asyncify() {
        Some(found) => {
            let (state, data) = (global(found.state())?, global(found.data())?);
            let (sealed, width) = (found.is_sealed(), findings.pointer_width());
            Some(Asyncify { state, data, sealed, width })
        }
        None => None,
    };
    let memory = match findings.memory().map(MemoryFinding::export) {
        Some(name) => match exports.get(name) {
            Some(Extern::Memory(memory)) => Some(*memory),
            _ => return Err(missing(name)),
        },
        None => None,
    };
    let pointer = match pointer {
        Ok(name) => {
            let guard = findings.stack_guard();
            let guard = guard.filter(|_| findings.stack_pointer().export() == Some(&*name));
            let width = findings.pointer_width();
            let guard = match guard {
                Some(found) => {
                    let (limit, hit) = (global(found.limit())?, global(found.hit())?);
                    Some(Guard { limit, hit, width })
                }
                None => None,
            };
            Pointer::Known { global: global(&name)?, width, guard }
        }
        Err(pointer) => pointer,
    };
    // Who called one of Asyncify's functions would change the state behind the runtime's back.
    for function in findings.asyncify().iter().flat_map(|asyncify| asyncify.functions()) {
        exports.remove(function);
    }
    let rt = vm.rt();
    rt.suspension.asyncify = asyncify;
    // AssemblyScript can pin and unpin a constant as any other object.
    if !matches!(findings.allocator(), Some(Allocator::AssemblyScript { .. })) {
        rt.constants = findings.constants().clone();
    }
    rt.memory = memory;
    rt.exports = Arc::new(exports);
    let room = Room::new(vm, settings.place, findings)?;
    let borrows = room.is_nowhere();
    let by_room = if borrows { StackPolicy::Copied } else { StackPolicy::Separate };
    let policy = settings.policy.unwrap_or(by_room);
    let rt = vm.rt();
    let (size, guarded) = (settings.region_size, pointer.guard().is_some());
    rt.stack = ShadowStack::new(policy, size, findings.stack_bounds(), guarded);
    rt.pointer = pointer;
    rt.limits = settings.limits;
    rt.suspension.window = Window::new(findings.pointer_width(), borrows);
    rt.suspension.window.share(policy == StackPolicy::Separate);
    if let Some(size) = settings.window_size {
        let limit = rt.limits.window_bytes;
        if size > limit {
            return Err(Error::Config(format!(
                "a window of {size} bytes is larger than its limit of {limit}; raise that with `Limits::window_bytes`"
            )));
        }
        rt.suspension.window.want(size);
    }
    rt.trap_poisons = !settings.trap_clears;
    rt.host_end_poisons = settings.host_end_poisons;
    rt.machine.may_suspend = MaySuspend::HostFrame;
    vm.rt().room = room;
    Ok(())
}

/// The export of the stack pointer, or what is known instead.
fn pointer(
    findings: &Findings,
    setting: Option<&StackPointerSetting>,
) -> Result<std::result::Result<String, Pointer>> {
    Ok(match (setting, findings.stack_pointer()) {
        (Some(StackPointerSetting::None), _) | (None, StackPointer::Absent) => Err(Pointer::Absent),
        (Some(StackPointerSetting::Global(name)), _) => {
            let export = findings.global_export(name).ok_or_else(|| {
                Error::Config(format!("the module has no mutable global {}", Name(name)))
            })?;
            let width = findings.pointer_width();
            let is_it = |global: &&MutableGlobal| global.export() == export;
            let global = findings.mutable_globals().iter().find(is_it);
            if global.is_none_or(|global| global.kind() != width.kind()) {
                return Err(Error::Config(format!(
                    "the global {} is no stack pointer: that is of type {width}, as the guest's addresses are",
                    Name(name)
                )));
            }
            Ok(export.to_owned())
        }
        (None, StackPointer::Found { export, .. }) => Ok(export.clone()),
        (None, StackPointer::Uncertain { reason }) => Err(Pointer::Uncertain {
            reason: reason.clone(),
            collector: findings.collector().map(str::to_owned),
        }),
    })
}
