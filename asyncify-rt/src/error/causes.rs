//! What an error comes from.

use std::error::Error as StdError;
use std::{fmt, iter};

use super::Error;
use super::name::{Lines, Text};

type Cause = dyn StdError + 'static;

fn chain(first: Option<&Cause>) -> impl Iterator<Item = &Cause> {
    iter::successors(first, |&cause| cause.source())
}

/// What lies behind `cause`. Where that is one of these, also what its message has told.
fn behind(cause: &Cause) -> Option<&Cause> {
    match cause.downcast_ref::<Error>() {
        Some(error) => error.inner(),
        None => cause.source(),
    }
}

/// Whether the engine put it around an error, to tell the stack.
fn is_backtrace(cause: &Cause) -> bool {
    cause.to_string().starts_with("error while executing at wasm backtrace")
}

/// Whether it tells a mistake in a module's text, and shows the line.
fn is_of_text(cause: &Cause) -> bool {
    #[cfg(feature = "wat")]
    return cause.is::<wat::Error>();
    #[cfg(not(feature = "wat"))]
    return false;
}

impl StdError for Error {
    /// What lies behind the reason that the message tells.
    fn source(&self) -> Option<&Cause> {
        match self {
            // The reason is the guest's own, and what it led to is told instead.
            Self::NotAllocated { .. } => self.inner(),
            _ => self.cause().and_then(StdError::source),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.to_string();
        f.write_str(&message)?;
        // Some say what theirs says.
        let further = chain(self.source()).map(|cause| self.told(cause));
        let mut further = further.filter(|cause| !message.ends_with(cause));
        further.try_for_each(|cause| write!(f, "\n  caused by: {cause}"))
    }
}

impl Error {
    /// The error that was handed to this one.
    fn inner(&self) -> Option<&Cause> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::NotUtf8 { source, .. } => Some(source),
            Self::Allocator { source, .. } => Some(&**source),
            Self::InvalidModule { source, .. }
            | Self::Instantiate { source }
            | Self::BadValue { source, .. }
            | Self::ShadowStackOverflow { source, .. }
            | Self::Trap { source, .. }
            | Self::StackOverflow { source, .. }
            | Self::Host { source, .. } => Some(source.as_ref()),
            Self::NotAllocated { source, .. } => Some(source.as_deref()?),
            _ => None,
        }
    }

    /// The cause that the message tells.
    fn cause(&self) -> Option<&Cause> {
        let inner = self.inner();
        chain(inner).find(|cause| !is_backtrace(*cause)).or(inner)
    }

    /// What the message tells of the cause.
    pub(super) fn reason(&self) -> String {
        let reason = self.cause().map(|cause| self.told(cause)).unwrap_or_default();
        reason.strip_prefix("wasm trap: ").map(str::to_owned).unwrap_or(reason)
    }

    /// What `cause` says. Where a module's names may stand in it, it is one line.
    fn told(&self, cause: &Cause) -> String {
        match self {
            Self::InvalidModule { .. } if !is_of_text(cause) => Text(cause).to_string(),
            Self::Instantiate { .. } | Self::Trap { .. } => Text(cause).to_string(),
            _ => Lines(cause).to_string(),
        }
    }

    /// The error, and what it comes from in the end.
    pub(crate) fn with_root(&self) -> String {
        let root = chain(self.source()).last();
        root.map_or_else(|| self.to_string(), |root| format!("{self}: {}", self.told(root)))
    }

    /// The error that a host function ended the call with, if it is of type `E`.
    ///
    /// ```
    /// # use asyncify::{Trap, testing::Mock};
    /// # struct Disk;
    /// #[asyncify::imports(module = "disk")]
    /// impl Disk {
    ///     fn sync(&self) -> Result<(), Trap> { Err(std::io::Error::other("gone"))? }
    /// }
    /// # futures::executor::block_on(async {
    /// # let mock = Mock::new(Disk).await?;
    /// let error = mock.call::<_, ()>("disk", "sync", ()).await.unwrap_err();
    /// assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().to_string(), "gone");
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        iter::successors(self.inner(), |&cause| behind(cause))
            .find_map(|cause| cause.downcast_ref::<E>())
    }
}
