//! Errors out of the way of what runs at every call.

use super::Error;

/// The result of what runs at every call. An [`Error`] is ten words long, and a result of that
/// length is moved about in memory also where it is `Ok`.
pub(crate) type Thin<T> = std::result::Result<T, Boxed>;

/// An [`Error`] on its way up. It is no `std::error::Error`, or an engine's error could be made of
/// the box, which nobody would find the error in.
pub(crate) struct Boxed(Box<Error>);

impl From<Error> for Boxed {
    #[cold]
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Boxed> for Error {
    #[cold]
    fn from(Boxed(error): Boxed) -> Self {
        *error
    }
}

impl From<Boxed> for wasmtime::Error {
    #[cold]
    fn from(error: Boxed) -> Self {
        Error::from(error).into()
    }
}
