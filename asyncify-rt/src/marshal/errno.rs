//! Error numbers, and a buffer's size among them.

use std::fmt;

use super::{FromGuestError, GuestError, TooSmall};

/// The greatest error number. As in Linux, no number above it is an error of its own.
const LAST: i32 = 4095;

/// A negative error number, by the names that C's `errno.h` gives them on Linux.
///
/// Numbers go up to 4095. A code below -4095 says that a buffer is too small, and how large one is
/// large enough: it is `INT32_MIN` and that size above it. [`OutBuf::put`](crate::OutBuf::put) makes
/// it.
///
/// ```
/// use asyncify::{Errno, GuestError, TooSmall};
/// assert_eq!(Errno::NOENT.code(), -2);
///
/// let errno = Errno::from(TooSmall { needed: 600, capacity: 512 });
/// assert_eq!(errno.code(), i32::MIN + 600);
/// assert_eq!(errno.needed(), Some(600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errno {
    ($($name:ident = $number:literal, $doc:literal;)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*
        }
    };
}

errno! {
    PERM = 1, "Operation not permitted.";
    NOENT = 2, "No such file or directory.";
    INTR = 4, "Interrupted.";
    IO = 5, "Input or output failed.";
    BADF = 9, "Bad file descriptor.";
    AGAIN = 11, "Try again.";
    NOMEM = 12, "Out of memory.";
    ACCES = 13, "Permission denied.";
    EXIST = 17, "It exists already.";
    INVAL = 22, "Invalid argument.";
    NOSPC = 28, "No space left.";
    PIPE = 32, "Broken pipe.";
    RANGE = 34, "Result too large.";
    NOSYS = 38, "Not implemented.";
    MSGSIZE = 90, "Message too long: it does not fit the buffer.";
    CONNRESET = 104, "Connection reset.";
    NOBUFS = 105, "No buffer space.";
    TIMEDOUT = 110, "Timed out.";
    CONNREFUSED = 111, "Connection refused.";
    HOSTUNREACH = 113, "No route to the host.";
    CANCELED = 125, "Cancelled.";
}

impl Errno {
    /// The error with this positive number, or `None` for 0 and below.
    ///
    /// ```
    /// # use asyncify::Errno;
    /// assert_eq!(Errno::new(2), Some(Errno::NOENT));
    /// assert_eq!(Errno::new(-2), None);
    /// ```
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The positive number.
    ///
    /// ```
    /// # use asyncify::Errno;
    /// assert_eq!(Errno::NOENT.number(), 2);
    /// ```
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The size that a buffer must have, where this says that one is too small.
    ///
    /// ```
    /// # use asyncify::{Errno, FromGuestError};
    /// assert_eq!(Errno::from_code(i32::MIN + 600).needed(), Some(600));
    /// assert_eq!(Errno::MSGSIZE.needed(), None);
    /// ```
    #[must_use]
    pub const fn needed(self) -> Option<u32> {
        if self.0 > LAST { Some(i32::MIN.unsigned_abs() - self.0.unsigned_abs()) } else { None }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed() {
            Some(needed) => write!(f, "the buffer is too small; {needed} bytes are needed"),
            None => write!(f, "error number {}", self.0),
        }
    }
}

impl std::error::Error for Errno {}

impl From<TooSmall> for Errno {
    /// The size goes along, up to 2 GiB; what needs more is [`MSGSIZE`](Self::MSGSIZE).
    fn from(error: TooSmall) -> Self {
        let number = i32::try_from(error.needed).ok().map(|needed| needed.wrapping_add(i32::MIN));
        let number = number.and_then(i32::checked_neg).filter(|number| *number > LAST);
        number.map_or(Self::MSGSIZE, Self)
    }
}

impl GuestError for Errno {
    fn code(&self) -> i32 {
        -self.0
    }
}

impl FromGuestError for Errno {
    fn from_code(code: i32) -> Self {
        Self(code.checked_abs().unwrap_or(i32::MAX))
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound => Self::NOENT,
            Kind::PermissionDenied => Self::ACCES,
            Kind::ConnectionRefused => Self::CONNREFUSED,
            Kind::ConnectionReset | Kind::ConnectionAborted => Self::CONNRESET,
            Kind::AlreadyExists => Self::EXIST,
            Kind::WouldBlock => Self::AGAIN,
            Kind::InvalidInput | Kind::InvalidData => Self::INVAL,
            Kind::TimedOut => Self::TIMEDOUT,
            Kind::WriteZero => Self::MSGSIZE,
            Kind::Interrupted => Self::INTR,
            Kind::OutOfMemory => Self::NOMEM,
            Kind::BrokenPipe => Self::PIPE,
            Kind::Unsupported => Self::NOSYS,
            Kind::HostUnreachable => Self::HOSTUNREACH,
            _ => Self::IO,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_size_is_told_from_every_error_number_and_comes_back(needed in 1_usize..1 << 33) {
            let error = Errno::from(TooSmall { needed, capacity: 0 });
            prop_assert!(error.code() < 0);
            prop_assert_eq!(Errno::from_code(error.code()), error);
            match u32::try_from(needed) {
                Ok(size) if size <= i32::MIN.unsigned_abs() - 4096 => {
                    prop_assert_eq!(error.needed(), Some(size));
                    prop_assert!(error.code() < -4095);
                    // As a guest in C reads it.
                    prop_assert_eq!(error.code().cast_unsigned() & 0x7fff_ffff, size);
                }
                _ => prop_assert_eq!(error, Errno::MSGSIZE),
            }
        }

        #[test]
        fn an_error_number_is_no_size(number in 1..=4095) {
            let error = Errno::new(number).unwrap();
            prop_assert_eq!(error.needed(), None);
            prop_assert_eq!(Errno::from_code(error.code()), error);
        }
    }

    #[test]
    fn the_last_size_that_a_code_tells_is_the_last() {
        let last = i32::MIN.unsigned_abs() - 4096;
        for (needed, told) in [(1, Some(1)), (last, Some(last)), (last + 1, None)] {
            let error = TooSmall { needed: needed as usize, capacity: 0 };
            assert_eq!(Errno::from(error).needed(), told);
        }
    }
}
