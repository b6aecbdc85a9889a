//! How much a guest may have in flight and use up, and how much it has had.
//!
//! Nothing in this room refuses anything by itself.

mod budget;
mod deadline;

pub(crate) use budget::Budget;
pub(crate) use deadline::NEVER;
pub use deadline::Ticker;

/// Bounds on what one guest's calls can hold. Reaching one ends the call that would cross it with
/// [`Error::Limit`](crate::Error::Limit); the others go on.
///
/// ```
/// use asyncify::Limits;
/// let limits = Limits::default().parked_calls(1_000).suspensions_per_call(10_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(crate) parked_calls: usize,
    pub(crate) parked_bytes: u64,
    pub(crate) suspensions_per_call: u64,
    pub(crate) window_bytes: u64,
    pub(crate) nested_calls: usize,
    pub(crate) passed_bytes: u64,
}

impl Default for Limits {
    /// 2,000,000 parked calls, 100 within each other, 1 GiB that they hold on the host, a window of
    /// 16 MiB, 64 MiB that one call of an import is passed, and any number of suspensions.
    fn default() -> Self {
        Self {
            parked_calls: 2_000_000,
            parked_bytes: 1 << 30,
            suspensions_per_call: u64::MAX,
            window_bytes: 16 << 20,
            nested_calls: 100,
            passed_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// How many calls may be parked at once.
    ///
    /// ```
    /// # use asyncify::{Error, Guest, Limits, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let limits = Limits::default().parked_calls(1);
    /// let guest = Guest::builder(&module).imports(Host).limits(limits).instantiate().await?;
    /// let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// let (first, second) = futures::join!(spin.call((1,)), spin.call((1,)));
    /// assert!(first.is_ok());
    /// assert!(matches!(second, Err(Error::Limit { limit: 1, .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn parked_calls(self, calls: usize) -> Self {
        Self { parked_calls: calls, ..self }
    }

    /// How many bytes the parked calls may hold on the host: their frames, their copied shadow
    /// stacks, and the copies of text and bytes that the imports were passed in which they wait.
    ///
    /// What an import makes of them itself is not counted, and neither is what it writes to an
    /// [`OutBuf`](crate::OutBuf). A copy that would be too many is not made, also where the import would
    /// not have waited.
    ///
    /// ```
    /// # use asyncify::Limits;
    /// let limits = Limits::default().parked_bytes(64 << 20);
    /// # let _ = limits;
    /// ```
    #[must_use]
    pub fn parked_bytes(self, bytes: u64) -> Self {
        Self { parked_bytes: bytes, ..self }
    }

    /// How many bytes of text and bytes one call of an import may be passed copies of, and how many an
    /// export's result may have. 64 MiB unless it is set.
    ///
    /// It is looked at before anything is copied, whether the import waits or is ready at once; for a
    /// suspending one, so is what is left of [`parked_bytes`](Self::parked_bytes). What a plain import
    /// borrows, as `&str` or `&[u8]`, is not copied, and not counted. Of a type of your own, what it
    /// takes by `String::from_guest` or `Vec::from_guest` is counted, and what it copies itself out of
    /// [`GuestCx::read`](crate::GuestCx::read) is not.
    ///
    /// ```
    /// # use asyncify::testing::Mock;
    /// use asyncify::{Error, Limits};
    ///
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     fn keep(&self, text: String) {
    /// #       drop(text);
    ///     }
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let limits = Limits::default().passed_bytes(8);
    /// let mock = Mock::builder().imports(Host).limits(limits).build().await?;
    /// assert!(mock.call::<_, ()>("env", "keep", mock.place("in order")?).await.is_ok());
    /// let error = mock.call::<_, ()>("env", "keep", mock.place("much longer")?).await.unwrap_err();
    /// assert!(matches!(error, Error::Limit { limit: 8, .. }));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn passed_bytes(self, bytes: u64) -> Self {
        Self { passed_bytes: bytes, ..self }
    }

    /// How often one call may suspend.
    ///
    /// ```
    /// # use asyncify::{Error, Guest, Limits, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let limits = Limits::default().suspensions_per_call(2);
    /// let guest = Guest::builder(&module).imports(Host).limits(limits).instantiate().await?;
    /// let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// assert!(spin.call((2,)).await.is_ok());
    /// assert!(matches!(spin.call((3,)).await, Err(Error::Limit { limit: 2, .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn suspensions_per_call(self, suspensions: u64) -> Self {
        Self { suspensions_per_call: suspensions, ..self }
    }

    /// How many bytes the window may grow to, in the guest's memory.
    ///
    /// ```
    /// # use asyncify::Limits;
    /// let limits = Limits::default().window_bytes(1 << 20);
    /// # let _ = limits;
    /// ```
    #[must_use]
    pub fn window_bytes(self, bytes: u64) -> Self {
        Self { window_bytes: bytes, ..self }
    }

    /// How many calls may be parked within each other: in an import that calls the guest, which
    /// calls that import again. Each of them takes some of the stack of the thread that polls.
    ///
    /// ```
    /// # use asyncify::Limits;
    /// let limits = Limits::default().nested_calls(20);
    /// # let _ = limits;
    /// ```
    #[must_use]
    pub fn nested_calls(self, calls: usize) -> Self {
        Self { nested_calls: calls, ..self }
    }
}

/// What a guest's calls hold and have held.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # struct Host;
/// # #[asyncify::imports(module = "env")] impl Host {
/// #     async fn yield_now(&self) { tokio::task::yield_now().await }
/// #     async fn pause(&self) -> u32 { std::future::pending().await }
/// # }
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// # let guest = Guest::builder(&module).imports(Host).instantiate().await?;
/// guest.all_exports().typed::<(u32,), (u32,)>("spin")?.call((10,)).await?;
/// let stats = guest.stats().await?;
/// assert_eq!((stats.suspensions, stats.parked_calls, stats.most_parked_calls), (10, 0, 1));
/// println!("{} bytes of frames at most", stats.most_window_bytes);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that are parked now.
    pub parked_calls: usize,
    /// Bytes of frames, copied shadow stacks and copied arguments that they hold on the host.
    pub parked_bytes: u64,
    /// The most calls that were parked at once.
    pub most_parked_calls: usize,
    /// The most bytes that they held on the host at once.
    pub most_parked_bytes: u64,
    /// The most bytes that one call's frames took in the window.
    pub most_window_bytes: u64,
    /// The window's size in the guest's memory, in bytes.
    pub window_bytes: u64,
    /// Shadow stack regions that were made in the guest's memory.
    pub regions: usize,
    /// The most regions that calls had at once.
    pub most_regions_in_use: usize,
    /// How often a call has suspended.
    pub suspensions: u64,
}

impl Stats {
    /// A call has parked: its frames took so many bytes, and it holds so many.
    #[inline]
    pub(crate) fn park(&mut self, unwound: u64, held: u64) {
        self.most_window_bytes = self.most_window_bytes.max(unwound);
        self.suspensions += 1;
        self.parked_calls += 1;
        self.parked_bytes += held;
        self.most_parked_calls = self.most_parked_calls.max(self.parked_calls);
        self.most_parked_bytes = self.most_parked_bytes.max(self.parked_bytes);
    }

    /// A call that held so many bytes is parked no more.
    #[inline]
    pub(crate) fn unpark(&mut self, held: u64) {
        self.parked_calls -= 1;
        self.parked_bytes -= held;
    }
}
