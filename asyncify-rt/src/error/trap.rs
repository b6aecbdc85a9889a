//! What a host function ends a call with.

use std::fmt;

use super::{BoxError, Error};

/// Ends a call from inside a host function: made from any error by `?`, also from a boxed one, a
/// text, or an error of wasmtime's.
///
/// An import that returns `Result<_, Trap>` ends the guest's call with this error instead of
/// answering it; the caller finds it as [`Error::Host`] and can downcast it.
///
/// ```
/// let trap = asyncify::Trap::from(std::io::Error::other("the disk is gone"));
/// assert_eq!(trap.to_string(), "the disk is gone");
/// assert!(trap.into_inner().is::<std::io::Error>());
///
/// fn read(at: Option<u64>) -> Result<u64, asyncify::Trap> {
///     let at = at.ok_or("nothing was opened")?;
///     Err(asyncify::wasmtime::Error::msg(format!("nothing at {at}")))?
/// }
/// assert_eq!(read(None).unwrap_err().to_string(), "nothing was opened");
/// assert_eq!(read(Some(7)).unwrap_err().to_string(), "nothing at 7");
/// ```
pub struct Trap(BoxError);

/// What a poisoning trap holds. A trap is a single box: it stands in results that are moved about
/// at every call.
#[derive(Debug)]
struct Poisoning(BoxError);

impl std::error::Error for Poisoning {}

impl fmt::Display for Poisoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Trap {
    /// A trap that says `message`.
    ///
    /// ```
    /// let trap = asyncify::Trap::new("the disk is full");
    /// assert_eq!(trap.to_string(), "the disk is full");
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self::from(message.into())
    }

    /// A trap after which the guest cannot be trusted: the host ends the call because something in
    /// the guest is broken, as its `abort`, its `exit` or a failed assertion says. It poisons the
    /// guest, as a trap of the guest's own does. Other traps leave it open: there the host could
    /// not do what was asked.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// use asyncify::{Error, Trap};
    /// # struct Host;
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     fn abort(&self) -> Result<(), Trap> { Err(Trap::poisoning("the guest gave up")) }
    /// }
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "abort" (func $abort)) (func (export "run") call $abort))"#)?;
    /// let guest = Guest::builder(&module).imports(Host).instantiate().await?;
    /// let run = guest.all_exports().typed::<(), ()>("run")?;
    /// let error = run.call(()).await.unwrap_err();
    /// assert_eq!(error.to_string(), "`run` was ended by the host: the guest gave up");
    /// assert!(matches!(run.call(()).await, Err(Error::Poisoned { .. })));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn poisoning(error: impl Into<BoxError>) -> Self {
        Self(Box::new(Poisoning(error.into())))
    }

    /// The error that ends the call: the host's own, or one of these that passed through it.
    pub(crate) fn into_error(self) -> Error {
        let function = String::new();
        match self.0.downcast::<Poisoning>().map(|poisoning| poisoning.0) {
            Ok(source) => Error::Host { function, source, poisons: true },
            Err(source) => match source.downcast::<Error>() {
                Ok(error) => *error,
                Err(source) => Error::Host { function, source, poisons: false },
            },
        }
    }

    /// The error inside, if it is an `E`.
    pub(crate) fn downcast<E: std::error::Error + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }

    /// The error inside. See [`Trap`] for an example.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        match self.0.downcast::<Poisoning>() {
            Ok(poisoning) => poisoning.0,
            Err(source) => source,
        }
    }
}

impl<E: Into<BoxError>> From<E> for Trap {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
