//! A guest: one instance, its store, and the lock around them.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use wasmtime::{Extern, ExternType, Store};

use crate::builder::Builder;
use crate::cx::GuestCx;
use crate::cycle;
use crate::error::{Error, Result, Thin};
use crate::exports::AsyncExports;
use crate::limits::Stats;
use crate::lock::{self, Held, Holder, Lock};
use crate::mail::{Letters, Mailbox};
use crate::marshal::{Passed, Slice};
use crate::module::Module;
use crate::nesting::Around;
use crate::parked::Key;
use crate::state::State;
use crate::turns::{Turn, Turns};

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

pub(crate) struct Inner<T: Send + 'static> {
    pub(crate) lock: Lock<Store<State<T>>>,
    pub(crate) holder: Arc<Holder>,
    pub(crate) mail: Arc<Mailbox>,
    /// Whose turn it is, where calls take turns whole.
    pub(crate) turns: Option<Arc<Turns>>,
    /// What the module itself exports: neither Asyncify's functions nor what was added.
    pub(crate) exports: Vec<Export>,
}

/// An export of the guest.
pub(crate) struct Export {
    pub(crate) name: Arc<str>,
    pub(crate) item: Extern,
    pub(crate) ty: ExternType,
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

    pub(crate) fn inner(&self) -> &Inner<T> {
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
    pub fn exports<E: crate::exports::Exports>(&self) -> Result<E> {
        crate::exports::bind(self)
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
            let mut guard = std::task::ready!(self.poll_lock(cx))?;
            let f = f.take().ok_or(Error::CallEnded)?;
            guard.data_mut().rt.run.passed = Passed::default();
            Poll::Ready(Ok(f(&mut GuestCx::of(&mut guard))))
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
        let mut guard = match self.inner.lock.try_lock() {
            Ok(guard) => Guard(guard),
            Err(Held::Within) => return Err(Error::Reentered),
            Err(Held::Elsewhere) => return Err(Error::Busy),
        };
        guard.begin(&self.inner.mail);
        guard.data_mut().rt.run.passed = Passed::default();
        Ok(f(&mut GuestCx::of(&mut guard)))
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
        self.try_with(|cx| cx.rt().stats)
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
        self.with(|cx| cx.rt().stats).await
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
        self.with(|cx| cx.rt().poison.is_some()).await
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
        self.with(|cx| cx.rt().poison = None).await
    }

    #[inline]
    pub(crate) fn poll_lock(&self, cx: &mut Context<'_>) -> Poll<Thin<Guard<'_, T>>> {
        match self.inner.lock.poll_lock(cx) {
            Poll::Ready(Ok(guard)) => {
                let mut guard = Guard(guard);
                guard.begin(&self.inner.mail);
                Poll::Ready(Ok(guard))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Error::Reentered.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Hands the guest to `f`, whose imports are polled with this waker, or wakes when no other call
    /// runs in it.
    #[inline]
    pub(crate) fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut GuestCx<'_, T>) -> R,
    ) -> Poll<Thin<R>> {
        let (mail, waker) = (&self.inner.mail, cx.waker());
        // Outlives the lock.
        let mut ended = Vec::new();
        let polled = self.inner.lock.poll_with(&mut Context::from_waker(waker), |store| {
            begin(store, mail);
            // Before `f` changes anything: this may drop the last clone of a waker, which may panic.
            store.data_mut().rt.run.waker.keep(waker);
            let answer = f(&mut GuestCx::of(store));
            let left = &mut store.data_mut().rt.run.ended;
            if !left.is_empty() {
                ended = std::mem::take(left);
            }
            answer
        });
        drop(ended);
        polled.map_err(|_| Error::Reentered.into())
    }

    /// Whether its calls take turns whole.
    #[inline]
    pub(crate) fn takes_turns(&self) -> bool {
        self.inner.turns.is_some()
    }

    /// Gives a call that is polled a place among those that take turns whole, if they do: they
    /// know that it is polled as long as what is returned is there. One that is over needs none.
    #[inline]
    pub(crate) fn take_place(
        &self,
        turn: &mut Option<Box<Turn>>,
        is_over: impl FnOnce() -> bool,
    ) -> Option<Around> {
        let turns = self.inner.turns.as_ref().filter(|_| !is_over())?;
        Some(turn.get_or_insert_with(|| Box::new(turns.enter())).around())
    }

    /// Whether a call may lock the guest, by its turn.
    #[inline]
    pub(crate) fn poll_turn(&self, turn: &mut Option<Box<Turn>>, waker: &Waker) -> Poll<Thin<()>> {
        if let Some(turn) = turn
            && turn.poll(waker).is_pending()
        {
            if self.inner.holder.blocks() {
                return Poll::Ready(Err(Error::Reentered.into()));
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poisonings(&self) -> u32 {
        self.inner.holder.poisonings()
    }

    pub(crate) fn mail_waker(&self, key: Key, waker: Waker) {
        drop(self.inner.mail.open(|letters| letters.wakers.insert(key, waker)));
    }

    pub(crate) fn mail_dropped(&self, key: Key, placed: Box<[Slice]>) {
        self.inner.mail.open(|letters| letters.dropped.push((key, placed)));
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

/// The guest's lock, held; what was left for its holder has been dealt with.
pub(crate) struct Guard<'a, T: Send + 'static>(lock::Guard<'a, Store<State<T>>>);

impl<T: Send + 'static> Guard<'_, T> {
    #[inline]
    fn begin(&mut self, mail: &Mailbox) {
        begin(&mut self.0, mail);
    }
}

/// Begins a turn: its budget, and what was left to do.
#[inline]
fn begin<T: Send + 'static>(store: &mut Store<State<T>>, mail: &Mailbox) {
    if let Some(letters) = mail.collect() {
        read(&mut GuestCx::of(store), letters);
    }
    // Not before: what the letters free has a budget of its own.
    GuestCx::of(store).begin_budget();
}

/// Does what calls asked for when they did not have the lock.
#[cold]
fn read<T: Send + 'static>(cx: &mut GuestCx<'_, T>, letters: Letters) {
    let Letters { dropped, mut placed, mut wakers } = letters;
    for (key, waker) in &mut wakers {
        if let Some(record) = cx.rt().parked.get_mut(*key) {
            std::mem::swap(&mut record.waker, waker);
        }
    }
    for (key, _) in &dropped {
        cycle::discard(cx, *key);
    }
    // What was replaced goes last: to drop a waker may panic, as what follows may.
    drop(wakers);
    // This runs the guest, where an import may panic.
    placed.extend(dropped.into_iter().flat_map(|(_, placed)| placed));
    cx.free_all(&placed);
}

impl<T: Send + 'static> Deref for Guard<'_, T> {
    type Target = Store<State<T>>;
    fn deref(&self) -> &Store<State<T>> {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut Store<State<T>> {
        &mut self.0
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
