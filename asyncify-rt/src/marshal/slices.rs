//! Text and bytes: a pointer and a length.

use super::{FromGuest, IntoGuest, LentSlice, Slice};
use crate::cx::GuestCx;
use crate::error::Trap;
use crate::parts::memory;

/// What a `&T` parameter can point at: `str` and `[u8]`.
///
/// A plain import is lent the guest's own bytes; a suspending one gets a copy, because the
/// guest's memory may move while it waits.
#[diagnostic::on_unimplemented(
    message = "`&{Self}` cannot cross between guest and host",
    label = "not a type that can cross by reference",
    note = "`&str` and `&[u8]` can; take any other type by value"
)]
pub trait Borrowed: 'static {
    /// The copy that a suspending import's future owns.
    type Owned: AsRef<Self> + FromGuest<Abi = Slice> + Send + 'static;

    /// Sees the bytes as this type.
    ///
    /// # Errors
    /// If they are no such value.
    fn from_bytes(bytes: &[u8]) -> Result<&Self, Trap>;
}

#[diagnostic::do_not_recommend]
impl Borrowed for str {
    type Owned = String;
    fn from_bytes(bytes: &[u8]) -> Result<&Self, Trap> {
        Ok(std::str::from_utf8(bytes)?)
    }
}

#[diagnostic::do_not_recommend]
impl Borrowed for [u8] {
    type Owned = Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Result<&Self, Trap> {
        Ok(bytes)
    }
}

/// Text or bytes that an export returns without giving them away: a constant of the guest's, say, or
/// a buffer that it uses again.
///
/// What an export returns as `String` or `Vec<u8>` is the host's: it is copied, and given back to
/// the guest's allocator. What it returns as `Lent<String>` or `Lent<Vec<u8>>` is copied alone. Also
/// in a `Result<Lent<_>, E>`, and with `result = "out"`.
///
/// ```
/// # use asyncify::{Guest, Lent, Module, wasmtime::Engine};
/// # futures::executor::block_on(async {
/// // `const char version[] = "1.4";` at 16, returned as length and pointer in one i64.
/// let guest = r#"(module (memory 1) (data (i32.const 16) "1.4")
///     (func (export "version") (result i64) i64.const 0x3_0000_0010))"#;
/// # let module = Module::new(&Engine::default(), guest)?;
/// # let guest = Guest::builder(&module).instantiate().await?;
///
/// #[asyncify::exports]
/// trait App {
///     fn version(&self) -> Lent<String>;
/// }
/// let app: AppExports = guest.exports()?;
/// assert_eq!(app.version().await?, Lent("1.4".to_owned()));
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lent<V>(pub V);

#[diagnostic::do_not_recommend]
impl<V: FromGuest<Abi = Slice>> FromGuest for Lent<V> {
    type Abi = LentSlice;
    const COPIES: bool = V::COPIES;
    fn from_guest<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        abi: LentSlice,
    ) -> Result<Self, Trap> {
        V::from_guest(cx, abi.0).map(Self)
    }
}

macro_rules! owned {
    ($($ty:ty as $borrowed:ty),*) => { $(
        #[diagnostic::do_not_recommend]
        impl FromGuest for $ty {
            type Abi = Slice;
            fn from_guest<T: Send + 'static>(cx: &mut GuestCx<'_, T>, abi: Slice) -> Result<Self, Trap> {
                let (memory, rt) = cx.vm.memory_and_runtime();
                let bytes = memory::slice(memory, abi.ptr.into(), abi.len.into())?;
                rt.pass(abi.len)?;
                Ok(<$borrowed>::from_bytes(bytes)?.to_owned())
            }
        }
        #[diagnostic::do_not_recommend]
        impl IntoGuest for $ty {
            type Abi = Slice;
            fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Slice, Trap> {
                Ok(cx.place(self.as_ref())?)
            }
        }
    )* };
}

owned!(String as str, Vec<u8> as [u8]);
