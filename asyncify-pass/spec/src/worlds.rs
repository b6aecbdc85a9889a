//! A world: a store, the instances in it, and what modules of a script can import.

use std::collections::HashMap;

use asyncify_pass::{Entry, Instrumented};
use wasmtime::{
    AsContextMut, Caller, Engine, Error, Extern, ExternType, Func, FuncType, Global, GlobalType,
    Instance, Memory, MemoryType, Module, Mutability, Ref, RefType, Result, SharedMemory, Store,
    Table, TableType, Val, ValType,
};

use crate::compare;
use crate::drive::{self, Driver, Pair, Plan, Target};

/// How often the engine's epoch ticks.
pub(crate) const TICK: std::time::Duration = std::time::Duration::from_millis(250);

/// How many ticks a call may take.
const DEADLINE: u64 = 40;

/// What `spectest` exports as functions.
pub(crate) const PRINTS: [(&str, &[ValType]); 7] = [
    ("print", &[]),
    ("print_i32", &[ValType::I32]),
    ("print_i64", &[ValType::I64]),
    ("print_f32", &[ValType::F32]),
    ("print_f64", &[ValType::F64]),
    ("print_i32_f32", &[ValType::I32, ValType::F32]),
    ("print_f64_f64", &[ValType::F64, ValType::F64]),
];

/// What a store carries.
pub(crate) struct Host {
    /// The calls of `spectest`'s functions since it was last taken.
    pub(crate) log: Vec<String>,
    /// Breaches of the protocol since they were last taken.
    pub(crate) faults: Vec<String>,
    /// Every instrumented instance.
    pub(crate) drivers: Vec<Driver>,
    /// When to suspend.
    pub(crate) plan: Plan,
    /// Whose call is driven, if one is.
    pub(crate) driven: Option<Driver>,
    /// Whether a driven call is inside another.
    pub(crate) nested: bool,
    /// How often guests suspended.
    pub(crate) suspensions: u64,
}

/// An import that no instance offers.
#[derive(Debug)]
pub(crate) struct UnknownImport(String);

impl core::fmt::Display for UnknownImport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "unknown import {}", self.0)
    }
}

impl core::error::Error for UnknownImport {}

/// An instance and how it is driven.
pub(crate) struct Guest {
    pub(crate) instance: Instance,
    entries: HashMap<String, Target>,
}

impl Guest {
    /// How to drive an export, if it may suspend.
    pub(crate) fn target(&self, export: &str) -> Option<Target> {
        self.entries.get(export).copied()
    }
}

/// A store and what can be imported in it.
pub(crate) struct World {
    pub(crate) store: Store<Host>,
    offers: HashMap<String, HashMap<String, Extern>>,
}

impl World {
    /// A world with nothing in it but `spectest`.
    pub(crate) fn new(engine: &Engine, plan: Plan) -> Result<Self> {
        let host = Host {
            log: Vec::new(),
            faults: Vec::new(),
            drivers: Vec::new(),
            plan,
            driven: None,
            nested: false,
            suspensions: 0,
        };
        let mut store = Store::new(engine, host);
        store.set_epoch_deadline(DEADLINE);
        let spectest = spectest(&mut store)?;
        Ok(Self { store, offers: HashMap::from([("spectest".to_owned(), spectest)]) })
    }

    /// Gives the next action its time and its suspensions.
    pub(crate) fn refresh(&mut self) {
        self.store.set_epoch_deadline(DEADLINE);
        self.store.data_mut().plan.refresh();
    }

    /// Instantiates a module and runs its start function.
    pub(crate) fn instantiate(
        &mut self,
        module: &Module,
        ours: Option<&Instrumented>,
    ) -> Result<Guest> {
        self.refresh();
        let imports = module
            .imports()
            .map(|import| {
                let (module, name) = (import.module(), import.name());
                let offer = self.offers.get(module).and_then(|offers| offers.get(name)).cloned();
                offer.ok_or_else(|| Error::from(UnknownImport(format!("{module}.{name}"))))
            })
            .collect::<Result<Vec<_>>>()?;
        let instance = Instance::new(&mut self.store, module, &imports)?;
        let mut guest = Guest { instance, entries: HashMap::new() };
        let Some(ours) = ours else { return Ok(guest) };
        if ours.exports().is_empty() && ours.start().is_none() {
            return Ok(guest);
        }
        let driver = Driver::new(&mut self.store, instance)?;
        for entry in ours.exports() {
            let pair = self.pair(instance, entry)?;
            guest.entries.insert(entry.export().to_owned(), Target { driver, pair });
        }
        if let Some(start) = ours.start() {
            let target = Target { driver, pair: self.pair(instance, start)? };
            drive::drive(self.store.as_context_mut(), target, &[], &mut [])?;
        }
        Ok(guest)
    }

    fn pair(&mut self, instance: Instance, entry: &Entry) -> Result<Pair> {
        let mut find = |name: &str| {
            let func = instance.get_func(&mut self.store, name);
            func.ok_or_else(|| Error::msg(format!("no exported function `{name}`")))
        };
        Ok(Pair { call: find(entry.call())?, resume: find(entry.resume())? })
    }

    /// Offers an instance's exports to modules to come. A function that may suspend is offered as
    /// a host function that drives it to its end.
    pub(crate) fn register(&mut self, name: &str, guest: &Guest, exports: &[String]) {
        let mut offers = HashMap::new();
        for export in exports {
            let Some(mut offer) = guest.instance.get_export(&mut self.store, export) else {
                self.store.data_mut().faults.push(format!("export `{export}` is gone"));
                continue;
            };
            if let (Some(target), Extern::Func(func)) = (guest.target(export), &offer) {
                let ty = func.ty(&self.store);
                let driven = move |mut caller: Caller<'_, Host>, args: &[Val], out: &mut [Val]| {
                    drive::drive(caller.as_context_mut(), target, args, out)
                };
                offer = Func::new(&mut self.store, ty, driven).into();
            }
            offers.insert(export.clone(), offer);
        }
        self.offers.insert(name.to_owned(), offers);
    }
}

/// Whether two lists of imports or exports say the same.
pub(crate) fn same_type(a: &ExternType, b: &ExternType) -> bool {
    match (a, b) {
        (ExternType::Func(a), ExternType::Func(b)) => FuncType::eq(a, b),
        // The text of a type names all that it consists of.
        _ => format!("{a:?}") == format!("{b:?}"),
    }
}

fn spectest(store: &mut Store<Host>) -> Result<HashMap<String, Extern>> {
    let mut offers: HashMap<String, Extern> = HashMap::new();
    for (name, params) in PRINTS {
        let ty = FuncType::new(store.engine(), params.iter().cloned(), []);
        let print = move |mut caller: Caller<'_, Host>, args: &[Val], _: &mut [Val]| {
            let args: Vec<_> = args
                .iter()
                .map(|arg| compare::describe(&mut caller.as_context_mut(), arg))
                .collect();
            caller.data_mut().log.push(format!("{name}({})", args.join(", ")));
            drive::pend(&mut caller);
            Ok(())
        };
        offers.insert(name.to_owned(), Func::new(&mut *store, ty, print).into());
    }
    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6_f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
    ];
    for (name, ty, value) in globals {
        let global = Global::new(&mut *store, GlobalType::new(ty, Mutability::Const), value)?;
        offers.insert(name.to_owned(), global.into());
    }
    let table = TableType::new(RefType::FUNCREF, 10, Some(20));
    let table64 = TableType::new64(RefType::FUNCREF, 10, Some(20));
    let null = Ref::Func(None);
    offers.insert("table".to_owned(), Table::new(&mut *store, table, null.clone())?.into());
    offers.insert("table64".to_owned(), Table::new(&mut *store, table64, null)?.into());
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    offers.insert("memory".to_owned(), memory.into());
    let shared = SharedMemory::new(store.engine(), MemoryType::shared(1, 2))?;
    offers.insert("shared_memory".to_owned(), shared.into());
    Ok(offers)
}
