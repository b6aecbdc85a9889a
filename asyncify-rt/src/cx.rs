//! The guest in hand: its memory, its plain exports, the user's data.

mod calls;

use wasmtime::{AsContext, AsContextMut, Caller, Extern, Func, Store, StoreContextMut};

use crate::cycle;
use crate::error::{Error, Result};
use crate::function::{AsyncFunction, Function};
use crate::guest::Guest;
use crate::machine::MaySuspend;
use crate::marshal::Slice;
use crate::memory::{self, OutOfBounds};
use crate::room::Wanted;
use crate::state::{Runtime, State};

/// A guest whose lock is held: what an import's marshalling and [`Guest::with`] are given.
///
/// Functions that are called through it must not suspend: the host's own frame lies between.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// let text = guest.with(|cx| cx.read(16, 5).map(<[u8]>::to_vec)).await?;
/// assert_eq!(text.unwrap(), b"Hello");
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct GuestCx<'a, T: Send + 'static> {
    pub(crate) store: StoreContextMut<'a, State<T>>,
}

impl<'a, T: Send + 'static> GuestCx<'a, T> {
    #[inline]
    pub(crate) fn new(store: StoreContextMut<'a, State<T>>) -> Self {
        Self { store }
    }

    /// The guest that calls an import.
    #[inline]
    pub(crate) fn calling(caller: &'a mut Caller<'_, State<T>>) -> Self {
        if caller.data().rt.machine.may_suspend == MaySuspend::Start {
            find_memory(caller);
        }
        Self::new(caller.as_context_mut())
    }

    pub(crate) fn of(store: &'a mut Store<State<T>>) -> Self {
        Self { store: store.as_context_mut() }
    }

    #[inline]
    pub(crate) fn rt(&mut self) -> &mut Runtime {
        &mut self.store.data_mut().rt
    }

    #[inline]
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.store.data().rt
    }

    /// The guest's memory, and the runtime's side of it, at once.
    #[inline]
    pub(crate) fn memory_and_runtime(&mut self) -> (&mut [u8], &mut Runtime) {
        match self.runtime().memory {
            Some(memory) => {
                let (bytes, state) = memory.data_and_store_mut(&mut self.store);
                (bytes, &mut state.rt)
            }
            None => (&mut [], self.rt()),
        }
    }

    /// The user's data.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async { let module = Module::new(&Engine::default(), r#"(module)"#)?;
    /// let guest = Guest::builder_with(&module, 7).instantiate().await?;
    /// assert_eq!(guest.with(|cx| *cx.data()).await?, 7);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn data(&self) -> &T {
        &self.store.data().data
    }

    /// The user's data.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async { let module = Module::new(&Engine::default(), r#"(module)"#)?;
    /// let guest = Guest::builder_with(&module, 7).instantiate().await?;
    /// guest.with(|cx| *cx.data_mut() += 1).await?;
    /// assert_eq!(guest.with(|cx| *cx.data()).await?, 8);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.store.data_mut().data
    }

    /// The guest's memory, as large as it is now; empty if it has none.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// assert_eq!(guest.with(|cx| cx.memory().len()).await?, 64 << 10);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    #[inline]
    pub fn memory(&self) -> &[u8] {
        match self.runtime().memory {
            Some(memory) => memory.data(&self.store),
            None => &[],
        }
    }

    /// The guest's memory, as large as it is now; empty if it has none.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// guest.with(|cx| cx.memory_mut()[100] = 7).await?;
    /// # assert_eq!(guest.with(|cx| cx.memory()[100]).await?, 7);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn memory_mut(&mut self) -> &mut [u8] {
        match self.runtime().memory {
            Some(memory) => memory.data_mut(&mut self.store),
            None => &mut [],
        }
    }

    /// Adds `pages` of 64 KiB to the guest's memory: how many it had, or `None` if it cannot grow
    /// by as much, as wasm's own `memory.grow`.
    ///
    /// For guests that ask their host for more, as Emscripten's `sbrk` does. Other guests may take
    /// what was added for their own heap, or never use it.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), "(module (memory 1 3))")?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// // A memory of one page, that may have three.
    /// guest.with(|cx| {
    ///     assert_eq!(cx.grow_memory(2), Some(1));
    ///     assert_eq!(cx.memory().len(), 3 << 16);
    ///     assert_eq!(cx.grow_memory(1), None);
    /// }).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn grow_memory(&mut self, pages: u64) -> Option<u64> {
        let memory = self.rt().memory?;
        memory.grow(&mut self.store, pages).ok()
    }

    /// `len` bytes at `address`.
    ///
    /// # Errors
    /// If they do not all lie in the memory.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// guest.with(|cx| {
    ///     assert_eq!(cx.read(16, 5), Ok(&b"Hello"[..]));
    ///     assert!(cx.read(0xffff, 2).is_err());
    /// }).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn read(&self, address: u32, len: u32) -> Result<&[u8], OutOfBounds> {
        memory::slice(self.memory(), address.into(), len.into())
    }

    /// Stores `bytes` at `address`.
    ///
    /// # Errors
    /// If they do not all fit into the memory; then nothing is stored.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// guest.with(|cx| {
    ///     assert!(cx.write(100, b"bytes").is_ok());
    ///     assert!(cx.write(0xffff, b"bytes").is_err());
    /// }).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let place = memory::slice_mut(self.memory_mut(), address.into(), bytes.len() as u64)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// Puts `bytes` into memory from the guest's allocator.
    ///
    /// In an import's answer they are the guest's from then on; for an export's argument they are
    /// freed when the call ends, as [`free`](Self::free) does.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if the guest exports no allocator, or it has no memory left.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let placed = guest.with(|cx| {
    ///     let placed = cx.place(b"bytes")?;
    ///     assert_eq!(cx.read(placed.ptr, placed.len), Ok(&b"bytes"[..]));
    ///     // What was placed outside an import or an argument is yours to free.
    ///     cx.free(placed)
    /// }).await?;
    /// # placed?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn place(&mut self, bytes: &[u8]) -> Result<Slice> {
        let no_room = |reason: &str| Error::NoRoom {
            what: "a value",
            size: bytes.len() as u64,
            reason: reason.to_owned(),
        };
        let too_large = |_| no_room("it is too large for a 32-bit guest; pass it in parts");
        let len = u32::try_from(bytes.len()).map_err(too_large)?;
        if len == 0 {
            return Ok(Slice { ptr: 0, len });
        }
        let address = self.allocate(Wanted::value(len))?;
        let Ok(ptr) = u32::try_from(address) else {
            self.release(address, len.into())?;
            return Err(no_room(
                "its allocator answered an address above 4 GiB; give a guest that takes text a 32-bit memory",
            ));
        };
        if let Some(placed) = &mut self.rt().run.placed {
            placed.push(Slice { ptr, len });
        }
        let place = memory::slice_mut(self.memory_mut(), ptr.into(), len.into());
        let outside = |_| {
            no_room(
                "its allocator answered an address outside the memory; see to the guest's allocator",
            )
        };
        place.map_err(outside)?.copy_from_slice(bytes);
        Ok(Slice { ptr, len })
    }

    /// Gives memory back to the guest's allocator, by its own rule: by the pointer alone, or by the
    /// pointer and the size that was asked for. Does nothing if the guest exports none, or one that
    /// only allocates: [`Allocator::AllocateOnly`](crate::Allocator::AllocateOnly), and
    /// [`Allocator::CabiRealloc`](crate::Allocator::CabiRealloc) without a `free`.
    ///
    /// # Errors
    /// If the guest's function traps.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// guest.with(|cx| {
    ///     let placed = cx.place(b"bytes")?;
    ///     cx.free(placed)
    /// }).await??;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn free(&mut self, placed: Slice) -> Result<()> {
        self.release(placed.ptr.into(), placed.len.into())
    }

    /// An export of the guest.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// guest.with(|cx| {
    ///     assert!(cx.export("table").is_some_and(|export| export.into_table().is_some()));
    ///     assert!(cx.export("no such").is_none());
    /// }).await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn export(&self, name: &str) -> Option<Extern> {
        self.runtime().exports.get(name).cloned()
    }

    /// A function of the guest, to be called as one that may suspend: an entry of a table, say.
    ///
    /// # Errors
    /// [`Error::GuestGone`] if the guest is being made or dropped.
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
        let guest = self.guest()?;
        let ty = func.ty(&self.store);
        Ok(Function::of(guest, name, func, ty).dynamic())
    }

    /// The guest's own handle.
    ///
    /// # Errors
    /// [`Error::GuestGone`] if the guest is being made or dropped.
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
        let inner = self.store.data().guest.upgrade().ok_or(Error::GuestGone)?;
        Ok(Guest::from_inner(inner))
    }

    /// The store, for everything else that wasmtime offers.
    ///
    /// Call no function through it that may reach a suspending import.
    ///
    /// # Errors
    /// If the guest cannot be put in order for that.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let pages = guest.with(|cx| {
    ///     let memory = cx.export("memory").and_then(|export| export.into_memory()).expect("a memory");
    ///     Ok::<_, asyncify::Error>(memory.grow(cx.store()?, 1).expect("room to grow"))
    /// }).await??;
    /// assert_eq!(pages, 1);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn store(&mut self) -> Result<StoreContextMut<'_, State<T>>> {
        cycle::settle(self)?;
        Ok(self.store.as_context_mut())
    }

    /// Gives what runs next the whole budget.
    #[inline]
    pub(crate) fn begin_budget(&mut self) {
        if let Some(budget) = self.runtime().budget {
            budget.begin(&mut self.store);
        }
    }
}

/// A start function runs before the guest is linked: its imports find the memory through it.
#[cold]
fn find_memory<T: Send + 'static>(caller: &mut Caller<'_, State<T>>) {
    if let Some(name) = caller.data().rt.memory_export.clone() {
        // The caller may be another instance of the store, with a memory of its own.
        let memory = caller.get_export(&name).and_then(Extern::into_memory);
        caller.data_mut().rt.memory = memory;
    }
}

impl<T: Send + 'static> AsContext for GuestCx<'_, T> {
    type Data = State<T>;
    fn as_context(&self) -> wasmtime::StoreContext<'_, State<T>> {
        self.store.as_context()
    }
}

impl<T: Send + std::fmt::Debug + 'static> std::fmt::Debug for GuestCx<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestCx").field("data", self.data()).finish_non_exhaustive()
    }
}
