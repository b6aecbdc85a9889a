//! Numbers, `bool`, `char`, pointers and tuples.

use std::fmt;
use std::marker::PhantomData;

use wasmtime::V128;

use super::{FromGuest, IntoGuest, Value};
use crate::cx::GuestCx;
use crate::error::Trap;

/// A wasm value that is no value of the Rust type it stands for.
#[derive(Debug, thiserror::Error)]
#[error("{value} is not a `{ty}`")]
struct NotA {
    value: String,
    ty: &'static str,
}

macro_rules! same {
    ($($ty:ty)*) => { $(
        #[diagnostic::do_not_recommend]
        impl FromGuest for $ty {
            type Abi = $ty;
            const COPIES: bool = false;
            fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: $ty) -> Result<Self, Trap> {
                Ok(abi)
            }
        }
        #[diagnostic::do_not_recommend]
        impl IntoGuest for $ty {
            type Abi = $ty;
            fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<$ty, Trap> {
                Ok(self)
            }
        }
    )* };
}

same!(i32 u32 i64 u64 f32 f64 V128);

/// Types that are narrower than the i32 that carries them: what does not fit is an error.
macro_rules! narrow {
    ($($ty:ty as $abi:ty),*) => { $(
        #[diagnostic::do_not_recommend]
        impl FromGuest for $ty {
            type Abi = $abi;
            const COPIES: bool = false;
            fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: $abi) -> Result<Self, Trap> {
                Self::try_from(abi).map_err(|_| NotA { value: abi.to_string(), ty: stringify!($ty) }.into())
            }
        }
        #[diagnostic::do_not_recommend]
        impl IntoGuest for $ty {
            type Abi = $abi;
            fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<$abi, Trap> {
                Ok(self.into())
            }
        }
    )* };
}

narrow!(u8 as u32, u16 as u32, i8 as i32, i16 as i32, char as u32);

#[diagnostic::do_not_recommend]
impl FromGuest for bool {
    type Abi = u32;
    const COPIES: bool = false;
    fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: u32) -> Result<Self, Trap> {
        match abi {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(NotA { value: other.to_string(), ty: "bool" }.into()),
        }
    }
}

#[diagnostic::do_not_recommend]
impl IntoGuest for bool {
    type Abi = u32;
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl FromGuest for () {
    type Abi = ();
    const COPIES: bool = false;
    fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): ()) -> Result<Self, Trap> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl IntoGuest for () {
    type Abi = ();
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<(), Trap> {
        Ok(())
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        #[allow(non_snake_case, reason = "written once for every arity")]
        #[diagnostic::do_not_recommend]
        impl<$($name: FromGuest<Abi: Value>),*> FromGuest for ($($name,)*) {
            type Abi = ($($name::Abi,)*);
            const COPIES: bool = false $(|| $name::COPIES)*;
            fn from_guest<T: Send + 'static>(
                cx: &mut GuestCx<'_, T>,
                ($($name,)*): Self::Abi,
            ) -> Result<Self, Trap> {
                Ok(($($name::from_guest(cx, $name)?,)*))
            }
        }
        #[allow(non_snake_case, reason = "written once for every arity")]
        #[diagnostic::do_not_recommend]
        impl<$($name: IntoGuest<Abi: Value>),*> IntoGuest for ($($name,)*) {
            type Abi = ($($name::Abi,)*);
            fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Self::Abi, Trap> {
                let ($($name,)*) = self;
                Ok(($($name.into_guest(cx)?,)*))
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

/// An address in a 32-bit guest's memory, of something that the guest calls a `T`.
///
/// It is only a number: it is checked when it is used, through [`GuestCx::read`] and
/// [`GuestCx::write`], and `T` is never read by itself.
///
/// ```
/// use asyncify::testing::Mock;
/// use asyncify::{GuestCx, GuestPtr, Trap};
///
/// struct Host;
///
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     /// Adds one to the number that the guest points at.
///     fn increment<T: Send + 'static>(
///         &self,
///         cx: &mut GuestCx<'_, T>,
///         number: GuestPtr<u32>,
///     ) -> Result<(), Trap> {
///         let bytes = cx.read(number.address(), 4)?.first_chunk().copied().unwrap_or_default();
///         cx.write(number.address(), &(u32::from_le_bytes(bytes) + 1).to_le_bytes())?;
///         Ok(())
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let mock = Mock::new(Host).await?;
/// let number = mock.place(41_u32.to_le_bytes())?;
/// mock.call::<_, ()>("env", "increment", number.ptr).await?;
/// assert_eq!(mock.read(number.ptr, 4)?, 42_u32.to_le_bytes());
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub struct GuestPtr<T> {
    address: u32,
    target: PhantomData<fn() -> T>,
}

impl<T> GuestPtr<T> {
    /// The pointer with this address.
    ///
    /// ```
    /// # use asyncify::GuestPtr;
    /// let null = GuestPtr::<u8>::new(0);
    /// assert!(null.is_null());
    /// ```
    #[must_use]
    pub const fn new(address: u32) -> Self {
        Self { address, target: PhantomData }
    }

    /// The address.
    ///
    /// ```
    /// # use asyncify::GuestPtr;
    /// assert_eq!(GuestPtr::<u8>::new(16).address(), 16);
    /// ```
    #[must_use]
    pub const fn address(self) -> u32 {
        self.address
    }

    /// Whether the address is 0.
    ///
    /// ```
    /// # use asyncify::GuestPtr;
    /// assert!(!GuestPtr::<u8>::new(16).is_null());
    /// ```
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.address == 0
    }
}

impl<T> Clone for GuestPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestPtr<T> {}

impl<T> PartialEq for GuestPtr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T> Eq for GuestPtr<T> {}

impl<T> fmt::Debug for GuestPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestPtr({:#x})", self.address)
    }
}

#[diagnostic::do_not_recommend]
impl<P: 'static> FromGuest for GuestPtr<P> {
    type Abi = u32;
    const COPIES: bool = false;
    fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: u32) -> Result<Self, Trap> {
        Ok(Self::new(abi))
    }
}

#[diagnostic::do_not_recommend]
impl<P: 'static> IntoGuest for GuestPtr<P> {
    type Abi = u32;
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(self.address)
    }
}
