//! The handles to a guest.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use super::builder::Builder;
use super::exports::{AsyncExports, Exports, bind};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::limits::Stats;
use crate::module::Module;
use crate::parts::passed::Passed;
use crate::store::{Inner, Vm};

/// A handle to one instance of a module, with its data. Clones are handles to the same guest.
///
/// Any number of calls can be in flight in it; they take turns, each for as long as it runs wasm.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// let also_it = guest.clone();
/// let double = also_it.all_exports().typed::<(u32,), (u32,)>("double")?;
/// assert_eq!(double.call((4,)).await?, (8,));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct Guest<T: Send + 'static = ()> {
    inner: Arc<Inner<T>>,
}

/// A handle that does not keep the guest: for hosts that their guest holds.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// use asyncify::Error;
///
/// let weak = guest.downgrade();
/// assert!(weak.upgrade().is_ok());
/// drop(guest);
/// assert!(matches!(weak.upgrade(), Err(Error::GuestGone)));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct WeakGuest<T: Send + 'static = ()> {
    inner: Weak<Inner<T>>,
}

impl Guest<()> {
    /// Begins a guest of `module` without data of the user's.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn builder(module: &Module) -> Builder<()> {
        Builder::new(module, ())
    }
}

impl<T: Send + 'static> Guest<T> {
    /// Begins a guest of `module` whose store holds `data`.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder_with(&module, String::from("my data")).instantiate().await?;
    /// assert_eq!(guest.with(|cx| cx.data().len()).await?, 7);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn builder_with(module: &Module, data: T) -> Builder<T> {
        Builder::new(module, data)
    }

    pub(crate) fn from_inner(inner: Arc<Inner<T>>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner<T>> {
        &self.inner
    }

    /// A handle that does not keep the guest.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let weak = guest.downgrade();
    /// # assert!(weak.upgrade().is_ok());
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakGuest<T> {
        WeakGuest { inner: Arc::downgrade(&self.inner) }
    }

    /// What the guest exports.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let names: Vec<_> = guest.all_exports().iter().map(|(name, _)| name.to_owned()).collect();
    /// assert_eq!(names[..3], ["memory", "version", "table"]);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn all_exports(&self) -> AsyncExports<T> {
        AsyncExports::new(self.clone())
    }

    /// The guest's exports as the type that `#[asyncify::exports]` made.
    ///
    /// # Errors
    /// [`Error::Exports`], which lists every export that is missing or has another signature.
    ///
    /// ```
    /// # use asyncify::{Guest, Lent, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// #[asyncify::exports]
    /// trait App {
    ///     fn double(&self, number: u32) -> u32;
    ///     // A literal of the guest's: not allocated, so it is not to be freed.
    ///     fn greeting(&self) -> Lent<String>;
    /// }
    ///
    /// let app: AppExports = guest.exports()?;
    /// assert_eq!(app.double(4).await?, 8);
    /// assert_eq!(app.greeting().await?.0, "Hello");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn exports<E: Exports>(&self) -> Result<E> {
        bind(self)
    }

    /// Hands the guest to `f` when no call runs in it: its data, its memory, and plain calls.
    ///
    /// `f` runs within one poll and keeps the guest for as long.
    ///
    /// # Errors
    /// [`Error::Reentered`] if it is awaited in a way that blocks inside an import of this guest.
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
    pub async fn with<R>(&self, f: impl FnOnce(&mut GuestCx<'_, T>) -> R) -> Result<R> {
        let mut f = Some(f);
        poll_fn(|cx| {
            let mut guard = std::task::ready!(self.inner.poll_lock(cx))?;
            let f = f.take().ok_or(Error::CallEnded)?;
            guard.data_mut().rt.run.passed = Passed::default();
            Poll::Ready(Ok(f(&mut GuestCx::new(Vm::of(&mut guard)))))
        })
        .await
    }

    /// As [`with`](Self::with), but does not wait.
    ///
    /// # Errors
    /// [`Error::Busy`] if a call runs in the guest, [`Error::Reentered`] if that is the call this
    /// is done from.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let size = guest.try_with(|cx| cx.memory().len())?;
    /// assert_eq!(size, 64 << 10);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn try_with<R>(&self, f: impl FnOnce(&mut GuestCx<'_, T>) -> R) -> Result<R> {
        let mut guard = self.inner.try_lock()?;
        guard.data_mut().rt.run.passed = Passed::default();
        Ok(f(&mut GuestCx::new(Vm::of(&mut guard))))
    }

    /// What the guest's calls hold and have held.
    ///
    /// # Errors
    /// As [`try_with`](Self::try_with).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// assert_eq!(guest.try_stats()?.parked_calls, 0);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn try_stats(&self) -> Result<Stats> {
        self.try_with(|cx| cx.vm.rt().stats)
    }

    /// What the guest's calls hold and have held.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// assert_eq!(guest.stats().await?.suspensions, 0);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub async fn stats(&self) -> Result<Stats> {
        self.with(|cx| cx.vm.rt().stats).await
    }

    /// Whether an earlier call left the guest in a state that cannot be trusted.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// let fail = guest.all_exports().typed::<(), ()>("fail")?;
    /// assert!(fail.call(()).await.is_err());
    /// assert!(guest.is_poisoned().await?);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub async fn is_poisoned(&self) -> Result<bool> {
        self.with(|cx| cx.vm.rt().poison.is_some()).await
    }

    /// Opens a poisoned guest for new calls. Calls that were parked when it was poisoned end with
    /// an error all the same.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guest = Guest::builder(&module).instantiate().await?;
    /// use asyncify::Error;
    ///
    /// let exports = guest.all_exports();
    /// let (fail, double) = (exports.typed::<(), ()>("fail")?, exports.typed::<(u32,), (u32,)>("double")?);
    /// assert!(matches!(fail.call(()).await, Err(Error::Trap { .. })));
    /// assert!(matches!(double.call((4,)).await, Err(Error::Poisoned { .. })));
    ///
    /// guest.clear_poison().await?;
    /// assert_eq!(double.call((4,)).await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub async fn clear_poison(&self) -> Result<()> {
        self.with(|cx| cx.vm.rt().poison = None).await
    }
}

impl<T: Send + 'static> WeakGuest<T> {
    /// The guest, if it is still there.
    ///
    /// # Errors
    /// [`Error::GuestGone`] if its last handle was dropped.
    ///
    /// ```
    /// use std::sync::OnceLock;
    /// use asyncify::{Trap, WeakGuest};
    ///
    /// /// A host that calls its guest. A `Guest` in here would keep itself alive for ever.
    /// #[derive(Default)]
    /// struct Host {
    ///     guest: OnceLock<WeakGuest>,
    /// }
    ///
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     async fn twice(&self, number: u32) -> Result<u32, Trap> {
    ///         let guest = self.guest.get().ok_or_else(|| Trap::new("not yet"))?.upgrade()?;
    ///         let double = guest.all_exports().typed::<(u32,), (u32,)>("double")?;
    ///         Ok(double.call((number,)).await?.0)
    ///     }
    /// }
    /// ```
    pub fn upgrade(&self) -> Result<Guest<T>> {
        self.inner.upgrade().map(Guest::from_inner).ok_or(Error::GuestGone)
    }
}

impl<T: Send + 'static> Clone for Guest<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + 'static> Clone for WeakGuest<T> {
    fn clone(&self) -> Self {
        Self { inner: Weak::clone(&self.inner) }
    }
}

impl<T: Send + 'static> fmt::Debug for Guest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports = self.inner.exports.iter().map(|export| &export.name);
        f.debug_struct("Guest").field("exports", &exports.collect::<Vec<_>>()).finish()
    }
}

impl<T: Send + 'static> fmt::Debug for WeakGuest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakGuest")
    }
}
