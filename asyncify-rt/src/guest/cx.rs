//! What a [`GuestCx`] gives of the guest itself.

use wasmtime::Func;

use super::Guest;
use super::function::{AsyncFunction, Function};
use crate::cx::GuestCx;
use crate::error::Result;

/// The guest itself.
impl<T: Send + 'static> GuestCx<'_, T> {
    /// A function of the guest, to be called as one that may suspend: an entry of a table, say.
    ///
    /// # Errors
    /// [`Error::GuestGone`](crate::Error::GuestGone) if the guest is being made or dropped.
    ///
    /// # Panics
    /// If `func` belongs to another store.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// use asyncify::wasmtime::{Ref, Val};
    ///
    /// let entry = guest.with(|cx| {
    ///     let table = cx.export("table").and_then(|export| export.into_table()).expect("a table");
    ///     match table.get(cx.store()?, 0) {
    ///         Some(Ref::Func(Some(func))) => cx.function("table[0]", func),
    ///         other => panic!("{other:?}"),
    ///     }
    /// }).await??;
    /// // This call may suspend.
    /// assert_eq!(entry.call([Val::I32(4)]).await?[0].unwrap_i32(), 8);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn function(&mut self, name: &str, func: Func) -> Result<AsyncFunction> {
        let guest = self.vm.inner()?;
        let ty = func.ty(&self.vm.store);
        Ok(Function::of(guest, name, func, ty).dynamic())
    }

    /// The guest's own handle.
    ///
    /// # Errors
    /// [`Error::GuestGone`](crate::Error::GuestGone) if the guest is being made or dropped.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let same = guest.with(|cx| cx.guest()).await??;
    /// # let _ = same;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn guest(&self) -> Result<Guest<T>> {
        Ok(Guest::from_inner(self.vm.inner()?))
    }
}
