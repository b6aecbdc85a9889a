//! The hand itself: data, memory, exports, the store.

use wasmtime::{AsContext, AsContextMut, Caller, Extern, StoreContextMut};

use crate::error::Result;
use crate::parts::memory::{self, OutOfBounds, Slice};
use crate::store::{State, Vm};
use crate::suspend;

/// A guest whose lock is held: what an import's marshalling and [`Guest::with`](crate::Guest::with) are given.
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
    pub(crate) vm: Vm<'a, T>,
}

impl<'a, T: Send + 'static> GuestCx<'a, T> {
    #[inline]
    pub(crate) fn new(vm: Vm<'a, T>) -> Self {
        Self { vm }
    }

    /// The guest that calls the host.
    #[inline]
    pub(crate) fn calling(caller: &'a mut Caller<'_, State<T>>) -> Self {
        Self::new(Vm::calling(caller))
    }
}

/// The user's data, and the guest's memory.
impl<T: Send + 'static> GuestCx<'_, T> {
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
        &self.vm.store.data().data
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
        &mut self.vm.store.data_mut().data
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
        self.vm.memory()
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
        self.vm.memory_mut()
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
        let memory = self.vm.rt().memory?;
        memory.grow(&mut self.vm.store, pages).ok()
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
}

/// Memory of the guest's allocator.
impl<T: Send + 'static> GuestCx<'_, T> {
    /// Puts `bytes` into memory from the guest's allocator.
    ///
    /// In an import's answer they are the guest's from then on; for an export's argument they are
    /// freed when the call ends, as [`free`](Self::free) does.
    ///
    /// # Errors
    /// [`Error::NoRoom`](crate::Error::NoRoom) if the guest exports no allocator, or it has no memory left.
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
        self.vm.place(bytes)
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
        self.vm.free(placed)
    }
}

/// What the guest exports, and everything else that its store has.
impl<T: Send + 'static> GuestCx<'_, T> {
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
        self.vm.export(name)
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
        suspend::settle(&mut self.vm)?;
        Ok(self.vm.store.as_context_mut())
    }
}

impl<T: Send + 'static> AsContext for GuestCx<'_, T> {
    type Data = State<T>;
    fn as_context(&self) -> wasmtime::StoreContext<'_, State<T>> {
        self.vm.store.as_context()
    }
}

impl<T: Send + std::fmt::Debug + 'static> std::fmt::Debug for GuestCx<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestCx").field("data", self.data()).finish_non_exhaustive()
    }
}
