//! What an error comes from.

use std::error::Error as StdError;
use std::{fmt, iter};

use super::Error;
use super::name::{Lines, Text};

/// What the error comes from, and what that comes from, and so on.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(error.source(), |&cause| cause.source())
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::NotUtf8 { source, .. } => Some(source),
            Self::InvalidModule { source }
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
}

/// Whether it tells a mistake in a module's text, and shows the line.
fn is_of_text(cause: &(dyn StdError + 'static)) -> bool {
    #[cfg(feature = "wat")]
    return cause.is::<wat::Error>();
    #[cfg(not(feature = "wat"))]
    return false;
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.to_string();
        f.write_str(&message)?;
        // Some messages end with their cause.
        let causes = causes(self).map(|cause| self.told(cause));
        let mut causes = causes.filter(|cause| !message.ends_with(cause));
        causes.try_for_each(|cause| write!(f, "\n  caused by: {cause}"))
    }
}

impl Error {
    /// What `cause` says. Where a module's names may stand in it, it is one line.
    fn told(&self, cause: &(dyn StdError + 'static)) -> String {
        match self {
            Self::InvalidModule { .. } if !is_of_text(cause) => Text(cause).to_string(),
            Self::Instantiate { .. } => Text(cause).to_string(),
            _ => Lines(cause).to_string(),
        }
    }

    /// The error, and what it comes from in the end.
    pub(crate) fn with_root(&self) -> String {
        let root = causes(self).last();
        root.map_or_else(|| self.to_string(), |root| format!("{self}: {root}"))
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
        causes(self).find_map(|cause| cause.downcast_ref::<E>())
    }
}
