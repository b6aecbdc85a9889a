//! The stand-in itself.

use std::fmt;
use std::sync::Arc;

use wasmtime::Val;

use super::{GuestValues, MockBuilder, MockCall, Results};
use super::{module, values};
use crate::cx::GuestCx;
use crate::error::{Error, Result, signature};
use crate::guest::{Call, Guest};
use crate::imports::{ImportInfo, Imports};
use crate::marshal::{Slice, ValueType};
use crate::parts::memory::OutOfBounds;

/// A stand-in for a guest: it calls a host's imports, in a guest's own terms.
///
/// Calls are those of a real guest: any number can be in flight, they finish in any order, and a
/// dropped one is cancelled. The memory has 1 MiB and never grows; see [`builder`](Self::builder)
/// for another size. Nothing is ever freed in it: make a new mock for the next test.
///
/// Functions that read or write the memory wait for a call that runs on another thread at the
/// moment. Clones stand for the same mock.
///
/// ```
/// use asyncify::testing::Mock;
///
/// struct Host;
///
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     fn greet(&self, name: &str) -> String {
///         format!("Hello, {name}!")
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let mock = Mock::new(Host).await?;
/// let name = mock.place("Ada")?;
/// let greeting: asyncify::Slice = mock.call("env", "greet", name).await?;
/// assert_eq!(mock.text(greeting)?, "Hello, Ada!");
/// # Ok::<(), asyncify::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Mock {
    pub(super) guest: Guest,
    pub(super) imports: Arc<[&'static ImportInfo]>,
    pub(super) memory_size: u32,
}

impl Mock {
    /// A mock that calls the imports of `host`.
    ///
    /// # Errors
    /// [`Error::Config`] if two of the imports have one name.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// struct Clock;
    ///
    /// #[asyncify::imports(module = "clock")]
    /// impl Clock {
    ///     fn hours(&self) -> u32 { 12 }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let mock = Mock::new(Clock).await?;
    /// assert_eq!(mock.call::<_, u32>("clock", "hours", ()).await?, 12);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn new<H: Imports>(host: H) -> Result<Self> {
        Self::builder().imports(host).build().await
    }

    /// As [`new`](Self::new), for a host that the test looks into as well.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// # use asyncify::testing::Mock;
    ///
    /// #[derive(Default)]
    /// struct Counter(AtomicU32);
    ///
    /// #[asyncify::imports(module = "env")]
    /// impl Counter {
    ///     fn count(&self, by: u32) { self.0.fetch_add(by, Ordering::Relaxed); }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let counter = Arc::new(Counter::default());
    /// let mock = Mock::shared(Arc::clone(&counter)).await?;
    /// mock.call::<_, ()>("env", "count", 3).await?;
    /// assert_eq!(counter.0.load(Ordering::Relaxed), 3);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn shared<H: Imports>(host: Arc<H>) -> Result<Self> {
        Self::builder().shared_imports(host).build().await
    }

    /// Begins a mock of several hosts, with another memory, or with functions that the guest
    /// would export.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// let mock = Mock::builder().pages(1).build().await?;
    /// assert_eq!(mock.memory_size(), 64 << 10);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn builder() -> MockBuilder {
        MockBuilder::new()
    }

    /// Calls the import `module.name` with the wasm values `args`, for the wasm values `R`.
    ///
    /// `args` is a value or a tuple of them: integers, floats, and [`Slice`], which is two values.
    /// So is `R`, where a `Slice` is one: the packed pointer and length of a text. For
    /// `result = "out"`, pass the address of eight bytes last, and read it with
    /// [`read_slice`](Self::read_slice). i32 and u32 are the same wasm value: take what reads best.
    ///
    /// # Errors
    /// The call ends with [`Error::NoSuchImport`] if no host has it (the message lists what there
    /// is), with [`Error::SignatureMismatch`] if it has another signature, and else as the call of a
    /// guest would: [`Error::BadPointer`], [`Error::NotUtf8`], [`Error::BadValue`],
    /// [`Error::Host`], [`Error::NoRoom`]. Each names the import as `module.name`.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     async fn sum(&self, numbers: &[u8], start: u64) -> u64 {
    ///         numbers.iter().fold(start, |sum, number| sum + u64::from(*number))
    ///     }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let mock = Mock::new(Host).await?;
    /// let numbers = mock.place([1, 2, 3])?;
    /// assert_eq!(mock.call::<_, u64>("env", "sum", (numbers, 4_u64)).await?, 10);
    ///
    /// let error = mock.call::<_, u64>("env", "sum", numbers).await.unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`env.sum` has the type (i32, i32, i64) -> (i64), and was used as (i32, i32) -> (i64)",
    /// );
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn call<A: GuestValues, R: Results>(
        &self,
        module: &str,
        name: &str,
        args: A,
    ) -> MockCall<R> {
        let mut vals = Vec::new();
        args.append_to(&mut vals);
        MockCall::new(self.start(module, name, vals, R::types()), R::from_vals)
    }

    fn start(
        &self,
        module: &str,
        name: &str,
        args: Vec<Val>,
        results: &[ValueType],
    ) -> Result<Call<Vec<Val>>> {
        let mut imports = self.imports.iter();
        let info = imports
            .find(|info| info.module == module && info.name == name)
            .ok_or_else(|| self.no_such_import(module, name))?;
        let params: Vec<_> = values::types(&args);
        let wanted = module::params(info);
        if params != wanted || results != info.results {
            return Err(Error::SignatureMismatch {
                function: format!("{module}.{name}"),
                expected: signature(&params, results),
                actual: signature(&wanted, info.results),
            });
        }
        let function = self.guest.all_exports().function(&module::export(info))?;
        Ok(function.call(args))
    }

    fn no_such_import(&self, module: &str, name: &str) -> Error {
        let names = self.imports.iter().map(|info| format!("{}.{}", info.module, info.name));
        let mut present: Vec<_> = names.collect();
        present.sort_unstable();
        Error::NoSuchImport { import: format!("{module}.{name}"), present }
    }

    /// Puts `bytes` into the mock's memory.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if the memory is used up.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// let text = mock.place("text")?;
    /// let bytes = mock.place([1, 2, 3])?;
    /// assert_eq!((text.len, bytes.len), (4, 3));
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn place(&self, bytes: impl AsRef<[u8]>) -> Result<Slice> {
        self.with(|cx| cx.place(bytes.as_ref()))?
    }

    /// Room for `len` bytes in the mock's memory, all of them 0: a buffer to be filled.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if the memory has no `len` bytes left.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// let buffer = mock.reserve(16)?;
    /// assert_eq!(mock.read(buffer.ptr, buffer.len)?, [0; 16]);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn reserve(&self, len: u32) -> Result<Slice> {
        if len > self.memory_size {
            let reason = format!("the mock's memory has {} bytes; ask for less", self.memory_size);
            return Err(Error::NoRoom { what: "a buffer", size: len.into(), reason });
        }
        self.place(vec![0; len as usize])
    }

    /// Stores `bytes` at `ptr`.
    ///
    /// # Errors
    /// [`Error::BadPointer`] if they do not all fit into the memory.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// // Marks the buffer, to see afterwards how much of it was written.
    /// let buffer = mock.reserve(4)?;
    /// mock.write(buffer.ptr, [0xee; 4])?;
    /// assert_eq!(mock.read(buffer.ptr, 4)?, [0xee; 4]);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn write(&self, ptr: u32, bytes: impl AsRef<[u8]>) -> Result<()> {
        let written = self.with(|cx| cx.write(ptr, bytes.as_ref()))?;
        written.map_err(|range| bad_pointer("Mock::write", range))
    }

    /// `len` bytes at `ptr`.
    ///
    /// # Errors
    /// [`Error::BadPointer`] if they do not all lie in the memory.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// let placed = mock.place("bytes")?;
    /// assert_eq!(mock.read(placed.ptr, placed.len)?, b"bytes");
    /// assert!(mock.read(mock.memory_size(), 1).is_err());
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn read(&self, ptr: u32, len: u32) -> Result<Vec<u8>> {
        let read = self.with(|cx| cx.read(ptr, len).map(<[u8]>::to_vec))?;
        read.map_err(|range| bad_pointer("Mock::read", range))
    }

    /// The text that `slice` points at.
    ///
    /// # Errors
    /// [`Error::BadPointer`] if it does not lie in the memory, [`Error::NotUtf8`] if it is no text.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// assert_eq!(mock.text(mock.place("text")?)?, "text");
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn text(&self, slice: Slice) -> Result<String> {
        String::from_utf8(self.read(slice.ptr, slice.len)?).map_err(|error| Error::NotUtf8 {
            function: "Mock::text".to_owned(),
            parameter: "slice".to_owned(),
            source: error.utf8_error(),
        })
    }

    /// The pointer and length that are stored at `ptr`: the answer of an import with
    /// `result = "out"`.
    ///
    /// # Errors
    /// [`Error::BadPointer`] if the eight bytes at `ptr` do not lie in the memory.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     #[asyncify(result = "out")]
    ///     async fn title(&self, page: u32) -> String { format!("Page {page}") }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let mock = Mock::new(Host).await?;
    /// let out = mock.reserve(8)?;
    /// mock.call::<_, ()>("env", "title", (7, out.ptr)).await?;
    /// assert_eq!(mock.text(mock.read_slice(out.ptr)?)?, "Page 7");
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn read_slice(&self, ptr: u32) -> Result<Slice> {
        let bytes = self.read(ptr, 8)?;
        let packed = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Slice::unpacked(packed))
    }

    /// The memory's size in bytes: the first address that is not in it.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// let last = mock.memory_size() - 1;
    /// assert!(mock.read(last, 1).is_ok());
    /// assert!(mock.read(last, 2).is_err());
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn memory_size(&self) -> u32 {
        self.memory_size
    }

    /// The guest that the mock is made of: for its [`stats`](Guest::stats), or for a host that
    /// calls its guest.
    ///
    /// It exports each import as `module.name`, with dots within the module as `\.`, a memory, `malloc` and `free`, and what
    /// [`MockBuilder::export`] added.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::builder().build().await?;
    /// assert_eq!(mock.guest().stats().await?.parked_calls, 0);
    /// # Ok::<(), asyncify::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Waits while a call runs on another thread: that is never for long, as a call that waits
    /// for its import does not run.
    fn with<R>(&self, f: impl FnOnce(&mut GuestCx<'_, ()>) -> R) -> Result<R> {
        let mut f = Some(f);
        loop {
            let run = self.guest.try_with(|cx| f.take().map(|f| f(cx)));
            match run {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => return Err(Error::CallEnded),
                Err(Error::Busy) => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    }
}

fn bad_pointer(function: &str, OutOfBounds { ptr, len, memory_size }: OutOfBounds) -> Error {
    let (function, parameter) = (function.to_owned(), "ptr".to_owned());
    Error::BadPointer { function, parameter, ptr, len, memory_size }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imports = self.imports.iter().map(ToString::to_string);
        f.debug_struct("Mock")
            .field("imports", &imports.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
