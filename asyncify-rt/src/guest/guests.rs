//! A pool of guests of one module.

mod pool;

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Result;
use crate::guest::Guest;
use pool::{Found, Lease, Place, Pool};

/// Guests that are made when they are needed, handed out, and taken back: for a server, whose
/// requests come as they like, and of which one may trap.
///
/// [`get`](Self::get) hands out a guest, which comes back when its handle is dropped. There are never
/// more of them than were allowed, and who asks when all are taken waits until one comes back, in the
/// order they asked. A guest that is poisoned is not handed out again: another is made in its
/// place.
///
/// No task is spawned, and any executor will do. Clones are handles to the same pool.
///
/// ```
/// # use asyncify::{Error, Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// use asyncify::Guests;
///
/// #[asyncify::exports]
/// trait App {
///     fn double(&self, number: u32) -> u32;
///     fn fail(&self);
/// }
///
/// let guests = Guests::new(8, move || Guest::builder(&module).instantiate());
///
/// // For each request:
/// let guest = guests.get().await?;
/// let app: AppExports = guest.exports()?;
/// assert_eq!(app.double(4).await?, 8);
/// assert!(app.fail().await.is_err());
/// drop(guest);
///
/// // The trap has poisoned that one. This is another.
/// let guest = guests.get().await?;
/// assert_eq!(guest.exports::<AppExports>()?.double(5).await?, 10);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct Guests<T: Send + 'static = ()> {
    pool: Arc<Pool<T>>,
}

/// A guest of a pool, which gets it back when this is dropped.
///
/// What is made of it, such as calls, functions and clones of the [`Guest`], may outlive this. Keep
/// it for as long as they are used: the pool hands the guest to others after that.
///
/// ```
/// # use asyncify::{Guest, Guests, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guests = Guests::new(1, move || Guest::builder(&module).instantiate());
/// let guest = guests.get().await?;
/// // It is used as a `Guest` is.
/// assert_eq!(guest.with(|cx| cx.call::<u32, u32>("double", 4)).await??, 8);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct PooledGuest<T: Send + 'static = ()> {
    // This goes first: there is room for another guest when this one is gone.
    guest: Guest<T>,
    lease: Lease<T>,
}

impl<T: Send + 'static> Guests<T> {
    /// A pool of `most` guests, at least one, which `make` makes: none yet. Each is handed out to one
    /// at a time. What `make` does after [`instantiate`](crate::Builder::instantiate) is done for
    /// each guest, before it is handed out for the first time. See [`Guests`] for an example.
    pub fn new<F, Fut>(most: usize, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Guest<T>>> + Send + 'static,
    {
        Self::shared(most, 1, make)
    }

    /// As [`new`](Self::new), but each guest is handed out to as many as `holders` at a time, at
    /// least one: their calls wait in it together. Guests that nobody has go first, then new ones,
    /// then those that the fewest have.
    ///
    /// Calls in one guest take turns on one thread, so a guest for each core, shared by many, uses a
    /// machine well. A trap ends the calls of all who share the guest. It counts until they have
    /// given it back.
    ///
    /// ```
    /// # use asyncify::{Guest, Guests, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    /// let guests = Guests::shared(cores, 1_000, move || Guest::builder(&module).instantiate());
    /// let guest = guests.get().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn shared<F, Fut>(most: usize, holders: usize, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Guest<T>>> + Send + 'static,
    {
        let make = Box::new(move || -> pool::Making<T> { Box::pin(make()) });
        Self { pool: Arc::new(Pool::new(most.max(1), holders.max(1), make)) }
    }

    /// A guest, when there is one. Dropping this before leaves nothing behind: the next one in the
    /// line gets it.
    ///
    /// One that waits and is not polled when its turn comes loses that turn, after the others have
    /// asked a while, and keeps its place.
    ///
    /// # Errors
    /// What the making of a guest ended with; those who wait try it themselves.
    /// [`Error::Reentered`](crate::Error::Reentered) if it is awaited in a way that blocks inside an
    /// import of the guest that it would hand out.
    ///
    /// ```
    /// # use asyncify::{Guest, Guests, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guests = Guests::new(1, move || Guest::builder(&module).instantiate());
    /// let first = guests.get().await?;
    /// // There is one, and it is taken.
    /// assert!(futures::poll!(std::pin::pin!(guests.get())).is_pending());
    /// drop(first);
    /// let second = guests.get().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub async fn get(&self) -> Result<PooledGuest<T>> {
        let mut place = Place::new(&self.pool);
        loop {
            match poll_fn(|cx| place.poll(cx)).await {
                Found::Room(room) => {
                    let guest = self.pool.make().await?;
                    let lease = room.fill(guest.clone());
                    return Ok(PooledGuest { guest, lease });
                }
                Found::Guest(guest, lease) => {
                    let pooled = PooledGuest { guest, lease };
                    // This also reads what calls left that were dropped, which may poison it.
                    if !pooled.is_poisoned().await? {
                        return Ok(pooled);
                    }
                    pooled.retire();
                }
            }
        }
    }
}

impl<T: Send + 'static> PooledGuest<T> {
    /// Gives the guest back to be handed out no more: another is made in its place. For one that
    /// is not poisoned and yet not wanted, because many of its calls were dropped, say, and what
    /// they held in its memory is lost.
    ///
    /// ```
    /// # use asyncify::{Guest, Guests, Module, wasmtime::Engine};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// # let guests = Guests::new(1, move || Guest::builder(&module).instantiate());
    /// let guest = guests.get().await?;
    /// guest.with(|cx| cx.write(100, &[1])).await?.unwrap();
    /// guest.retire();
    /// let other = guests.get().await?;
    /// assert_eq!(other.with(|cx| cx.memory()[100]).await?, 0);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn retire(self) {
        self.lease.retire();
    }
}

impl<T: Send + 'static> Deref for PooledGuest<T> {
    type Target = Guest<T>;

    fn deref(&self) -> &Guest<T> {
        &self.guest
    }
}

impl<T: Send + 'static> Clone for Guests<T> {
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool) }
    }
}

impl<T: Send + 'static> fmt::Debug for Guests<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (guests, holders) = self.pool.count();
        f.debug_struct("Guests")
            .field("guests", &guests)
            .field("holders", &holders)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> fmt::Debug for PooledGuest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledGuest").field(&self.guest).finish()
    }
}
