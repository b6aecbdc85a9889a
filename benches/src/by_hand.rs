//! The other side: wasmtime's own functions, by hand, as a careful user writes them.

use wasmtime::{Caller, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

use crate::host::Host;

/// What the store of a guest by hand holds.
#[derive(Debug)]
pub struct Data {
    host: Host,
    memory: Option<Memory>,
}

/// An instance with its functions.
pub struct Guest {
    /// The store.
    pub store: Store<Data>,
    /// Returns its argument.
    pub echo: TypedFunc<u32, u32>,
    /// Calls `plain` n times.
    pub plain: TypedFunc<u32, u32>,
    /// Calls `text` n times.
    pub text: TypedFunc<u32, u32>,
    /// Calls `ready` n times.
    pub ready: TypedFunc<u32, u32>,
    /// Waits n times below so many frames.
    pub spin: TypedFunc<(u32, u32), u32>,
    /// Computes without waiting.
    pub compute: TypedFunc<u32, u32>,
}

/// A guest without the functions that suspend: nothing here is async.
pub fn plain(engine: &Engine, name: &str) -> Guest {
    let module = Module::from_file(engine, crate::guest(name)).expect("the guest loads");
    let mut linker = Linker::new(engine);
    define_plain(&mut linker).expect("imports are defined");
    linker.define_unknown_imports_as_traps(&module).expect("imports are defined");
    let mut store = store(engine, Host::default());
    let instance = linker.instantiate(&mut store, &module).expect("the guest starts");
    Guest::new(store, instance)
}

/// The guest that is not instrumented, linked once, to be run on fibers.
pub struct Fibers {
    module: Module,
    linker: Linker<Data>,
}

impl Fibers {
    /// Compiles and links it.
    pub fn new(engine: &Engine) -> Self {
        let module = Module::from_file(engine, crate::guest("bench-plain"));
        let mut linker = Linker::new(engine);
        define_plain(&mut linker).expect("imports are defined");
        define_async(&mut linker).expect("imports are defined");
        Self { module: module.expect("the guest loads"), linker }
    }

    /// An instance of it.
    pub async fn instantiate(&self, host: Host) -> Guest {
        let mut store = store(self.module.engine(), host);
        let instance = self.linker.instantiate_async(&mut store, &self.module).await;
        Guest::new(store, instance.expect("the guest starts"))
    }
}

fn store(engine: &Engine, host: Host) -> Store<Data> {
    Store::new(engine, Data { host, memory: None })
}

fn define_plain(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    linker.func_wrap("env", "plain", |caller: Caller<'_, Data>, x: u32| {
        caller.data().host.plain(x)
    })?;
    linker.func_wrap(
        "env",
        "text",
        |caller: Caller<'_, Data>, ptr: u32, len: u32, x: u32| -> wasmtime::Result<u32> {
            let text = bytes(&caller, ptr, len)?;
            Ok(caller.data().host.text(std::str::from_utf8(text)?, x))
        },
    )?;
    Ok(())
}

fn bytes<'a>(caller: &'a Caller<'_, Data>, ptr: u32, len: u32) -> wasmtime::Result<&'a [u8]> {
    let memory = caller.data().memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let bytes = memory.data(caller).get(ptr as usize..).and_then(|from| from.get(..len as usize));
    bytes.ok_or_else(|| wasmtime::Error::msg("out of bounds"))
}

fn define_async(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    linker.func_wrap_async("env", "ready", |caller: Caller<'_, Data>, (x,): (u32,)| {
        Box::new(async move { caller.data().host.ready(x).await })
    })?;
    linker.func_wrap_async(
        "env",
        "bytes",
        |caller: Caller<'_, Data>, (ptr, len): (u32, u32)| {
            Box::new(async move {
                let copied = bytes(&caller, ptr, len)?.to_owned();
                wasmtime::Result::Ok(caller.data().host.bytes(&copied).await)
            })
        },
    )?;
    linker.func_wrap_async("env", "pause", |caller: Caller<'_, Data>, (x,): (u32,)| {
        Box::new(async move { caller.data().host.pause(x).await })
    })?;
    Ok(())
}

impl Guest {
    fn new(mut store: Store<Data>, instance: Instance) -> Self {
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let echo = function(&mut store, instance, "echo");
        let plain = function(&mut store, instance, "plain");
        let text = function(&mut store, instance, "text");
        let ready = function(&mut store, instance, "ready");
        let spin = function(&mut store, instance, "spin");
        let compute = function(&mut store, instance, "compute");
        Self { store, echo, plain, text, ready, spin, compute }
    }
}

fn function<P, R>(store: &mut Store<Data>, instance: Instance, name: &str) -> TypedFunc<P, R>
where
    P: wasmtime::WasmParams,
    R: wasmtime::WasmResults,
{
    instance.get_typed_func(store, name).expect("the guest has its exports")
}
