//! Calls of the guest's functions from the host, which must not suspend.

use std::any::type_name;

use wasmtime::{Extern, Func, Ref, TypedFunc, WasmParams, WasmResults};

use super::hand::GuestCx;
use crate::error::{Error, Result, signature_of};

/// Calls of the guest's functions, which must not suspend.
impl<T: Send + 'static> GuestCx<'_, T> {
    /// Calls the export `name`, which must not suspend.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`] and [`Error::SignatureMismatch`] if there is no such function;
    /// [`Error::HostFrame`] if it reaches a suspending import; [`Error::Trap`] if it traps,
    /// [`Error::StackOverflow`] if it does so by recursing too deeply.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let eight = guest.with(|cx| cx.call::<u32, u32>("double", 4)).await??;
    /// assert_eq!(eight, 8);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn call<P, R>(&mut self, name: &str, params: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        let Some(Extern::Func(func)) = self.export(name) else {
            return Err(self.no_such_export("function", name));
        };
        let func = self.typed(name, func)?;
        self.vm.nested(name, &func, params)
    }

    /// Calls a function of the guest, which must not suspend.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let eight = guest.with(|cx| {
    ///     let double = cx.export("double").and_then(|export| export.into_func());
    ///     let double = double.expect("a function").typed::<u32, u32>(&*cx).expect("its type");
    ///     cx.call_func(&double, 4)
    /// }).await??;
    /// assert_eq!(eight, 8);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn call_func<P, R>(&mut self, func: &TypedFunc<P, R>, params: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        self.vm.nested("a function of the guest", func, params)
    }

    /// Calls the function at `index` of the exported table `table`, as a trampoline does.
    ///
    /// An import that is marked `#[asyncify(trampoline)]`, like Emscripten's `invoke_*`, calls one
    /// function of the guest and returns what that returned. The function may suspend: then this
    /// answers [`Error::Busy`], the import's own answer is ignored, and when the call resumes the
    /// import runs again, with the same numbers for arguments, and calls again. So it must have no
    /// effects before that call, and what it calls after that must not suspend. Each one takes some of the thread's stack, which
    /// `wasmtime::Config::max_wasm_stack` bounds.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`] if there is no such table or no function at `index`; otherwise as
    /// [`call`](Self::call).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let eight = guest.with(|cx| cx.call_table::<u32, u32>("table", 0, 4)).await??;
    /// assert_eq!(eight, 8);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn call_table<P, R>(&mut self, table: &str, index: u32, params: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        let Some(Extern::Table(entries)) = self.export(table) else {
            return Err(self.no_such_export("table", table));
        };
        let name = format!("{table}[{index}]");
        let Some(Ref::Func(Some(func))) = entries.get(&mut self.vm.store, index.into()) else {
            let present = self.functions_of(table, entries);
            return Err(Error::NoSuchExport { kind: "function", name, present });
        };
        let func = self.typed(&name, func)?;
        self.vm.nested(&name, &func, params)
    }

    fn typed<P, R>(&self, name: &str, func: Func) -> Result<TypedFunc<P, R>>
    where
        P: WasmParams,
        R: WasmResults,
    {
        func.typed::<P, R>(&self.vm.store).map_err(|_| Error::SignatureMismatch {
            function: name.to_owned(),
            expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
            actual: signature_of(&func.ty(&self.vm.store)),
        })
    }

    /// The guest's own exports of a kind are listed, not Asyncify's.
    #[cold]
    fn no_such_export(&self, kind: &'static str, name: &str) -> Error {
        let is_kind = |item: &Extern| match kind {
            "table" => matches!(item, Extern::Table(_)),
            _ => matches!(item, Extern::Func(_)),
        };
        let error = self
            .vm
            .inner()
            .and_then(|guest| guest.find(kind, name, |export| is_kind(&export.item).then_some(())));
        error.err().unwrap_or_else(|| Error::NoSuchExport {
            kind,
            name: name.to_owned(),
            present: Vec::new(),
        })
    }

    /// The functions in a table, the first few.
    #[cold]
    fn functions_of(&mut self, name: &str, table: wasmtime::Table) -> Vec<String> {
        const LISTED: usize = 16;
        // The guest decides how large a table is.
        const LOOKED_AT: u64 = 1 << 16;
        let size = table.size(&self.vm.store).min(LOOKED_AT);
        let mut functions = (0..size).filter(|index| {
            matches!(table.get(&mut self.vm.store, *index), Some(Ref::Func(Some(_))))
        });
        let mut present: Vec<_> =
            functions.by_ref().take(LISTED).map(|index| format!("{name}[{index}]")).collect();
        if functions.next().is_some() {
            present.push("more".to_owned());
        }
        present
    }
}
