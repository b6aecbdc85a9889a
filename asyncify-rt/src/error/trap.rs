//! What a host function ends a call with.

use std::fmt;

use super::{BoxError, Error};

/// Ends a call from inside a host function: made from any error by `?`.
///
/// An import that returns `Result<_, Trap>` ends the guest's call with this error instead of
/// answering it; the caller finds it as [`Error::Host`] and can downcast it.
///
/// ```
/// let trap = asyncify::Trap::from(std::io::Error::other("the disk is gone"));
/// assert_eq!(trap.to_string(), "the disk is gone");
/// assert!(trap.into_inner().is::<std::io::Error>());
/// ```
pub struct Trap(BoxError);

impl Trap {
    /// A trap that says `message`.
    ///
    /// ```
    /// let trap = asyncify::Trap::new("the disk is full");
    /// assert_eq!(trap.to_string(), "the disk is full");
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// The error that ends the call: the host's own, or one of these that passed through it.
    pub(crate) fn into_error(self) -> Error {
        match self.0.downcast::<Error>() {
            Ok(error) => *error,
            Err(source) => Error::Host { function: String::new(), source },
        }
    }

    /// The error inside, if it is an `E`.
    pub(crate) fn downcast<E: std::error::Error + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }

    /// The error inside. See [`Trap`] for an example.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Trap {
    fn from(error: E) -> Self {
        Self(Box::new(error))
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
