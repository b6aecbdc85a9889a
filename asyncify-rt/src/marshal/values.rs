//! The two traits of everything that crosses.

use crate::cx::GuestCx;
use crate::error::Trap;

/// A value that comes from the guest: an import's parameter, or an export's result.
///
/// ```
/// use asyncify::{FromGuest, GuestCx, Trap};
///
/// /// A handle that the guest passes as a number.
/// struct Handle(u32);
///
/// impl FromGuest for Handle {
///     type Abi = u32;
///     fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: u32) -> Result<Self, Trap> {
///         Ok(Handle(abi))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the guest",
    label = "not a type that a guest can pass",
    note = "`u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `bool`, `char`, tuples of these, `String`, `Vec<u8>` and `GuestPtr<T>` can, and among an import's parameters `&str`, `&[u8]` and `&mut OutBuf`",
    note = "a 32-bit guest's `usize` is a `u32`; for a type of your own, implement `asyncify::FromGuest`"
)]
pub trait FromGuest: Sized {
    /// Its wasm values: one, a tuple of them, or a [`Slice`](crate::Slice).
    type Abi: Copy + Send + 'static;

    /// Whether it may copy out of the guest's memory, so that the bytes are to be counted.
    #[doc(hidden)]
    const COPIES: bool = true;

    /// Reads the value, in state 0: the guest's memory and its plain exports are at hand.
    ///
    /// # Errors
    /// Any error ends the call; the caller is told the function and the parameter.
    fn from_guest<T: Send + 'static>(cx: &mut GuestCx<'_, T>, abi: Self::Abi)
    -> Result<Self, Trap>;
}

/// A value that goes to the guest: an import's answer, or an export's parameter.
///
/// ```
/// use asyncify::{GuestCx, IntoGuest, Trap};
///
/// /// A text that the guest's own function turns into an object of its.
/// struct JsString(String);
///
/// impl IntoGuest for JsString {
///     type Abi = u32;
///     fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
///         let text = cx.place(self.0.as_bytes())?;
///         Ok(cx.call("new_string", (text.ptr, text.len))?)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed to the guest",
    label = "not a type that a guest can take",
    note = "`u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `bool`, `char`, `()`, tuples of these, `String`, `Vec<u8>`, `GuestPtr<T>` and `Result<_, E>` can, where `E` is `asyncify::Trap` or implements `asyncify::GuestError`",
    note = "a 32-bit guest's `usize` is a `u32`; for a type of your own, implement `asyncify::IntoGuest`"
)]
pub trait IntoGuest: Sized {
    /// Its wasm values: one, a tuple of them, or a [`Slice`](crate::Slice).
    type Abi: Copy + Send + 'static;

    /// Builds the value in the guest, in state 0: its memory and its plain exports are at hand.
    ///
    /// # Errors
    /// Any error ends the call; the caller is told the function.
    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Self::Abi, Trap>;
}
