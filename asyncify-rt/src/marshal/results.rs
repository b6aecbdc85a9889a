//! An import's answer and an export's result: values, codes, and where text is put.

use super::{FromGuest, IntoGuest, LentSlice, ResultAbi, Slice, Values};
use crate::cx::GuestCx;
use crate::error::Trap;

/// An error that the guest sees as a number.
///
/// Where the import returns `Result<T, E>`, the guest gets `Ok`'s value, or this code in its
/// place. Codes of `Result<(), E>` are anything but 0; all others are negative, and an `Ok` that
/// would read as a negative number ends the call, so that it is never mistaken for a code.
///
/// ```
/// use asyncify::GuestError;
///
/// enum StoreError { Missing, Full }
///
/// impl GuestError for StoreError {
///     fn code(&self) -> i32 {
///         match self {
///             StoreError::Missing => -1,
///             StoreError::Full => -2,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be told to the guest as a code",
    label = "not an error that a guest can take",
    note = "use `asyncify::Errno`, implement `asyncify::GuestError` for a code of your own, or return `Result<_, asyncify::Trap>` to end the call instead"
)]
pub trait GuestError {
    /// The number that the guest sees.
    fn code(&self) -> i32;
}

/// An error made from the number that an export returned.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # futures::executor::block_on(async {
/// # let module = Module::new(&Engine::default(), r#"(module (func (export "take") (param i32) (result i32) local.get 0))"#)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
/// use asyncify::FromGuestError;
///
/// #[derive(Debug, PartialEq)]
/// enum StoreError { Missing, Other(i32) }
///
/// impl FromGuestError for StoreError {
///     fn from_code(code: i32) -> Self {
///         if code == -1 { Self::Missing } else { Self::Other(code) }
///     }
/// }
///
/// #[asyncify::exports]
/// trait Store {
///     fn take(&self, key: i32) -> Result<u32, StoreError>;
/// }
///
/// // This guest answers with its argument.
/// let store: StoreExports = guest.exports()?;
/// assert_eq!(store.take(7).await?, Ok(7));
/// assert_eq!(store.take(-1).await?, Err(StoreError::Missing));
/// assert_eq!(store.take(-5).await?, Err(StoreError::Other(-5)));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from a code of the guest's",
    label = "not an error that a guest can return",
    note = "use `asyncify::Errno`, or implement `asyncify::FromGuestError` for a type of your own; that the call itself may fail is not declared: every call is awaited to an `asyncify::Result`"
)]
pub trait FromGuestError: Sized {
    /// The error with this code.
    fn from_code(code: i32) -> Self;
}

/// A value, or the code that stands in its place.
#[derive(Clone, Copy, Debug)]
pub enum OrCode<A> {
    /// The value.
    Value(A),
    /// The code.
    Code(i32),
}

/// A result type in whose place a code can stand.
#[diagnostic::on_unimplemented(
    message = "a code cannot stand in the place of `{Self}`",
    label = "not a `Result` that a guest can take",
    note = "integers, `()`, `bool`, `char`, `String` and `Vec<u8>` can be the `Ok` of a `Result` with a code; return `Result<_, asyncify::Trap>` otherwise"
)]
pub trait Coded: ResultAbi {
    /// The values in a signature.
    type Values: Values;
    /// The code as it stands in the value's place.
    fn code(code: i32) -> <Self as Coded>::Values;
    /// The value, if it is no code.
    fn value(self) -> Option<<Self as Coded>::Values>;
    /// Tells the two apart.
    ///
    /// # Errors
    /// If it is neither.
    fn read(values: <Self as Coded>::Values) -> Result<OrCode<Self>, Trap>;
    /// Whether `code` can be told from a value.
    #[must_use]
    fn is_code(code: i64) -> bool {
        code < 0
    }
}

macro_rules! coded {
    ($($ty:ty as $signed:ty),*) => { $(
        #[diagnostic::do_not_recommend]
        impl Coded for $ty {
            type Values = ($ty,);
            #[allow(clippy::cast_sign_loss, reason = "a negative code keeps its bits")]
            fn code(code: i32) -> ($ty,) {
                (<$signed>::from(code) as $ty,)
            }
            fn value(self) -> Option<($ty,)> {
                <$signed>::try_from(self).is_ok_and(|value| value >= 0).then_some((self,))
            }
            #[allow(clippy::cast_possible_wrap, reason = "a code is read by its sign")]
            fn read((value,): ($ty,)) -> Result<OrCode<Self>, Trap> {
                match value as $signed {
                    code if code < 0 => Ok(OrCode::Code(
                        i32::try_from(code).map_err(|_| NotACode(i64::from(code)))?,
                    )),
                    _ => Ok(OrCode::Value(value)),
                }
            }
        }
    )* };
}

coded!(i32 as i32, u32 as i32, i64 as i64, u64 as i64);

#[diagnostic::do_not_recommend]
impl Coded for () {
    type Values = (i32,);
    fn code(code: i32) -> (i32,) {
        (code,)
    }
    fn value(self) -> Option<(i32,)> {
        Some((0,))
    }
    fn read((code,): (i32,)) -> Result<OrCode<Self>, Trap> {
        Ok(if code == 0 { OrCode::Value(()) } else { OrCode::Code(code) })
    }
    fn is_code(code: i64) -> bool {
        code != 0
    }
}

/// Text and bytes, whether the host frees them or not.
macro_rules! coded_slice {
    ($($ty:ty, $slice:pat => $inner:expr, $wrap:expr;)*) => { $(
        #[diagnostic::do_not_recommend]
        impl Coded for $ty {
            type Values = (u64,);
            fn code(code: i32) -> (u64,) {
                <u64 as Coded>::code(code)
            }
            fn value(self) -> Option<(u64,)> {
                let $slice = self;
                <u64 as Coded>::value($inner.packed())
            }
            fn read((packed,): (u64,)) -> Result<OrCode<Self>, Trap> {
                Ok(match <u64 as Coded>::read((packed,))? {
                    OrCode::Code(code) => OrCode::Code(code),
                    OrCode::Value(packed) => OrCode::Value($wrap(Slice::unpacked(packed))),
                })
            }
        }
    )* };
}

coded_slice! {
    Slice, slice => slice, std::convert::identity;
    LentSlice, LentSlice(slice) => slice, LentSlice;
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{0} cannot be told from an `Ok` as an error code; codes are negative (for `Result<(), _>`: not 0)"
)]
struct NotACode(i64);

#[derive(Debug, thiserror::Error)]
#[error(
    "the `Ok` value reads as an error code; return a wider type, or `Result<_, asyncify::Trap>`"
)]
struct ReadsAsCode;

impl<A: Coded> ResultAbi for OrCode<A> {
    type Values = <A as Coded>::Values;
    fn from_values(values: Self::Values) -> Result<Self, Trap> {
        A::read(values)
    }
    fn into_values(self) -> Result<Self::Values, Trap> {
        match self {
            Self::Value(value) => Ok(value.value().ok_or(ReadsAsCode)?),
            Self::Code(code) if A::is_code(code.into()) => Ok(A::code(code)),
            Self::Code(code) => Err(NotACode(code.into()).into()),
        }
    }
    fn allocation(&self) -> Option<Slice> {
        match self {
            Self::Value(value) => value.allocation(),
            Self::Code(_) => None,
        }
    }
}

impl<V: IntoGuest, E: GuestError> IntoGuest for Result<V, E> {
    type Abi = OrCode<V::Abi>;
    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Self::Abi, Trap> {
        match self {
            Ok(value) => Ok(OrCode::Value(value.into_guest(cx)?)),
            Err(error) => Ok(OrCode::Code(error.code())),
        }
    }
}

impl<V: FromGuest, E: FromGuestError> FromGuest for Result<V, E> {
    type Abi = OrCode<V::Abi>;
    const COPIES: bool = V::COPIES;
    fn from_guest<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        abi: Self::Abi,
    ) -> Result<Self, Trap> {
        match abi {
            OrCode::Value(value) => Ok(Ok(V::from_guest(cx, value)?)),
            OrCode::Code(code) => Ok(Err(E::from_code(code))),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<V: IntoGuest> IntoGuest for Result<V, Trap> {
    type Abi = V::Abi;
    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Self::Abi, Trap> {
        // The host function's own error, not one of converting its answer.
        match self {
            Ok(value) => value.into_guest(cx),
            Err(error) => Err(error.into_error().into()),
        }
    }
}

/// How a function's result reaches the other side: [`Direct`], or through an [`OutPtr`].
pub trait Answer<R>: 'static {
    /// What is added to the parameters.
    type Params: Values;
    /// The results in the signature.
    type Results: Values;
    /// Hands an import's answer to the guest.
    ///
    /// # Errors
    /// If the guest cannot take it.
    fn send<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        params: Self::Params,
        answer: R,
    ) -> Result<Self::Results, Trap>
    where
        R: IntoGuest;
}

/// The result is the function's own: text and bytes as one packed i64.
pub struct Direct;

impl<R: IntoGuest<Abi: ResultAbi>> Answer<R> for Direct {
    type Params = ();
    type Results = <R::Abi as ResultAbi>::Values;

    #[inline]
    fn send<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (): (),
        answer: R,
    ) -> Result<Self::Results, Trap> {
        answer.into_guest(cx)?.into_values()
    }
}

/// Text or bytes whose pointer and length are stored where a last parameter points:
/// `struct { uint32_t ptr, len; }`. A result with a code returns it, and 0 for `Ok`.
pub struct OutPtr;

/// A result that can be stored through an [`OutPtr`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned through an out-pointer",
    label = "neither text nor bytes",
    note = "`result = \"out\"` is for `String`, `Vec<u8>` and a `Result` of these"
)]
pub trait OutPtrAbi: ResultAbi {
    /// What the function itself returns.
    type Status: Values;
    /// The status, and what to store.
    ///
    /// # Errors
    /// If the guest would take this value for another.
    fn status(self) -> Result<(Self::Status, Option<Slice>), Trap>;
    /// From the status, and what was stored.
    ///
    /// # Errors
    /// If no value looks like that.
    fn read(status: Self::Status, stored: Slice) -> Result<Self, Trap>;
}

impl OutPtrAbi for Slice {
    type Status = ();
    fn status(self) -> Result<((), Option<Slice>), Trap> {
        Ok(((), Some(self)))
    }
    fn read((): (), stored: Slice) -> Result<Self, Trap> {
        Ok(stored)
    }
}

impl OutPtrAbi for LentSlice {
    type Status = ();
    fn status(self) -> Result<((), Option<Slice>), Trap> {
        self.0.status()
    }
    fn read((): (), stored: Slice) -> Result<Self, Trap> {
        Ok(Self(stored))
    }
}

impl<S: Coded + OutPtrAbi<Status = ()>> OutPtrAbi for OrCode<S> {
    type Status = (i32,);
    fn status(self) -> Result<((i32,), Option<Slice>), Trap> {
        match self {
            Self::Value(slice) => Ok(((0,), slice.status()?.1)),
            Self::Code(0) => Err(NotACode(0).into()),
            Self::Code(code) => Ok(((code,), None)),
        }
    }
    fn read((code,): (i32,), stored: Slice) -> Result<Self, Trap> {
        Ok(if code == 0 { Self::Value(OutPtrAbi::read((), stored)?) } else { Self::Code(code) })
    }
}

impl<R: IntoGuest<Abi: OutPtrAbi>> Answer<R> for OutPtr {
    type Params = (u32,);
    type Results = <R::Abi as OutPtrAbi>::Status;

    fn send<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (at,): (u32,),
        answer: R,
    ) -> Result<Self::Results, Trap> {
        let (status, slice) = answer.into_guest(cx)?.status()?;
        if let Some(slice) = slice {
            cx.write(at, &slice.packed().to_le_bytes())?;
        }
        Ok(status)
    }
}
