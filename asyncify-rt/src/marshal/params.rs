//! An import's parameters, as a nested list of kinds: `(Ref<str>, (Val<u32>, ()))`.
//!
//! The attribute writes the list from syntax alone (`&T`, `&mut T`, anything else); the types
//! decide what stands in the signature.

use std::marker::PhantomData;

use super::{Borrowed, Concat, FromGuest, OutBuf, ParamAbi, Site, Slice, Values};
use crate::cx::GuestCx;
use crate::error::{Result, Trap};
use crate::parts::memory;

/// One parameter of an import.
///
/// A suspending import's future owns what it was passed ([`own`](Param::own)); a plain import is
/// lent it from the guest's memory ([`stage`](Param::stage), then [`lend`](Param::lend)).
pub trait Param: 'static {
    /// The values in the signature.
    type Values: Values;
    /// What a suspending import's future takes.
    type Owned: Send + 'static;
    /// What is left to do when the import answers.
    type Kept: Send + 'static;
    /// What is ready before the guest's memory is borrowed.
    type Staged;
    /// What a plain import is handed.
    type Lent<'a>;
    /// Whether that borrows the guest's memory: looking it up costs more than a plain number.
    const LENDS: bool;
    /// Whether [`stage`](Param::stage) may copy out of it.
    const COPIES: bool;

    /// Converts for a suspending import.
    ///
    /// # Errors
    /// If the guest passed something else than its type says.
    fn own<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<Self::Owned, Trap>;

    /// Converts for a plain import what needs the whole guest.
    ///
    /// # Errors
    /// If the guest passed something else than its type says.
    fn stage<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<(Self::Staged, Self::Kept), Trap>;

    /// Converts for a plain import what borrows the guest's memory.
    ///
    /// # Errors
    /// If the guest passed something else than its type says.
    fn lend<'a>(
        staged: Self::Staged,
        kept: &'a mut Self::Kept,
        memory: &'a [u8],
    ) -> Result<Self::Lent<'a>, Trap>;

    /// Does what is left to do when the import answers.
    ///
    /// # Errors
    /// If the guest's memory is not what it was.
    fn finish<T: Send + 'static>(cx: &mut GuestCx<'_, T>, kept: Self::Kept) -> Result<(), Trap>;
}

/// A parameter taken by value.
pub struct Val<V>(PhantomData<V>);

impl<V> Param for Val<V>
where
    V: FromGuest + Send + 'static,
    V::Abi: ParamAbi,
{
    type Values = <V::Abi as ParamAbi>::Values;
    type Owned = V;
    type Kept = ();
    type Staged = V;
    type Lent<'a> = V;
    const LENDS: bool = false;
    const COPIES: bool = V::COPIES;

    fn own<T: Send + 'static>(cx: &mut GuestCx<'_, T>, values: Self::Values) -> Result<V, Trap> {
        V::from_guest(cx, V::Abi::from_values(values))
    }

    fn stage<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<(V, ()), Trap> {
        Ok((Self::own(cx, values)?, ()))
    }

    fn lend<'a>(staged: V, (): &'a mut (), _: &'a [u8]) -> Result<V, Trap> {
        Ok(staged)
    }

    fn finish<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): ()) -> Result<(), Trap> {
        Ok(())
    }
}

/// A `&str` or `&[u8]` parameter.
pub struct Ref<B: ?Sized>(PhantomData<B>);

impl<B: Borrowed + ?Sized> Param for Ref<B> {
    type Values = (u32, u32);
    type Owned = B::Owned;
    type Kept = ();
    type Staged = Slice;
    type Lent<'a> = &'a B;
    const LENDS: bool = true;
    const COPIES: bool = false;

    fn own<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<B::Owned, Trap> {
        B::Owned::from_guest(cx, Slice::from_values(values))
    }

    fn stage<T: Send + 'static>(
        _: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<(Slice, ()), Trap> {
        Ok((Slice::from_values(values), ()))
    }

    fn lend<'a>(staged: Slice, (): &'a mut (), memory: &'a [u8]) -> Result<&'a B, Trap> {
        B::from_bytes(memory::slice(memory, staged.ptr.into(), staged.len.into())?)
    }

    fn finish<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): ()) -> Result<(), Trap> {
        Ok(())
    }
}

/// What a `&mut T` parameter can be: an [`OutBuf`].
#[diagnostic::on_unimplemented(
    message = "`&mut {Self}` cannot be lent from the guest",
    label = "not a type that an import can write through",
    note = "take `&mut OutBuf` to fill a buffer of the guest's, and return anything else"
)]
pub trait Writable: 'static {
    /// The buffer as this type.
    fn lend(buffer: &mut OutBuf) -> &mut Self;
}

#[diagnostic::do_not_recommend]
impl Writable for OutBuf {
    fn lend(buffer: &mut OutBuf) -> &mut Self {
        buffer
    }
}

/// A `&mut OutBuf` parameter.
pub struct Mut<B: ?Sized>(PhantomData<B>);

impl<B: Writable + ?Sized> Mut<B> {
    /// A buffer that cannot be written is told before the host function does its work.
    fn over<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: (u32, u32),
    ) -> Result<OutBuf, Trap> {
        let slice = Slice::from_values(values);
        memory::slice(cx.memory(), slice.ptr.into(), slice.len.into())?;
        Ok(OutBuf::over(slice))
    }
}

impl<B: Writable + ?Sized> Param for Mut<B> {
    type Values = (u32, u32);
    type Owned = OutBuf;
    type Kept = OutBuf;
    type Staged = ();
    type Lent<'a> = &'a mut B;
    const LENDS: bool = false;
    const COPIES: bool = false;

    fn own<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<OutBuf, Trap> {
        Self::over(cx, values)
    }

    fn stage<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
    ) -> Result<((), OutBuf), Trap> {
        Ok(((), Self::over(cx, values)?))
    }

    fn lend<'a>((): (), kept: &'a mut OutBuf, _: &'a [u8]) -> Result<&'a mut B, Trap> {
        Ok(B::lend(kept))
    }

    fn finish<T: Send + 'static>(cx: &mut GuestCx<'_, T>, kept: OutBuf) -> Result<(), Trap> {
        kept.store(cx)
    }
}

/// All parameters of an import: `()`, or the first and the others.
pub trait Params: 'static {
    /// The values in the signature.
    type Values: Values;
    /// [`Param::Owned`] of each.
    type Owned: Send + 'static;
    /// [`Param::Kept`] of each.
    type Kept: Send + 'static;
    /// [`Param::Staged`] of each.
    type Staged;
    /// [`Param::Lent`] of each.
    type Lent<'a>;
    /// Whether any of them [borrows the guest's memory](Param::LENDS).
    const LENDS: bool;
    /// Whether any of them [copies out of it](Param::COPIES).
    const COPIES: bool;

    /// [`Param::own`] for each, in order.
    ///
    /// # Errors
    /// The first parameter's that cannot be converted.
    fn own<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
        site: Site<'_>,
    ) -> Result<Self::Owned>;

    /// [`Param::stage`] for each, in order.
    ///
    /// # Errors
    /// The first parameter's that cannot be converted.
    fn stage<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
        site: Site<'_>,
    ) -> Result<(Self::Staged, Self::Kept)>;

    /// [`Param::lend`] for each, in order.
    ///
    /// # Errors
    /// The first parameter's that cannot be converted.
    fn lend<'a>(
        staged: Self::Staged,
        kept: &'a mut Self::Kept,
        memory: &'a [u8],
        site: Site<'_>,
    ) -> Result<Self::Lent<'a>>;

    /// [`Param::finish`] for each, in order.
    ///
    /// # Errors
    /// The first parameter's that cannot be finished.
    fn finish<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        kept: Self::Kept,
        site: Site<'_>,
    ) -> Result<()>;
}

impl Params for () {
    type Values = ();
    type Owned = ();
    type Kept = ();
    type Staged = ();
    type Lent<'a> = ();
    const LENDS: bool = false;
    const COPIES: bool = false;

    fn own<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): (), _: Site<'_>) -> Result<()> {
        Ok(())
    }

    fn stage<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): (), _: Site<'_>) -> Result<((), ())> {
        Ok(((), ()))
    }

    fn lend<'a>((): (), (): &'a mut (), _: &'a [u8], _: Site<'_>) -> Result<()> {
        Ok(())
    }

    fn finish<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): (), _: Site<'_>) -> Result<()> {
        Ok(())
    }
}

impl<P, R> Params for (P, R)
where
    P: Param<Values: Concat<R::Values>>,
    R: Params,
{
    type Values = <P::Values as Concat<R::Values>>::Out;
    type Owned = (P::Owned, R::Owned);
    type Kept = (P::Kept, R::Kept);
    type Staged = (P::Staged, R::Staged);
    type Lent<'a> = (P::Lent<'a>, R::Lent<'a>);
    const LENDS: bool = P::LENDS || R::LENDS;
    const COPIES: bool = P::COPIES || R::COPIES;

    #[inline]
    fn own<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
        site: Site<'_>,
    ) -> Result<Self::Owned> {
        let (first, others) = P::Values::split(values);
        let first = P::own(cx, first).map_err(|cause| site.error(cause))?;
        Ok((first, R::own(cx, others, site.next())?))
    }

    #[inline]
    fn stage<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        values: Self::Values,
        site: Site<'_>,
    ) -> Result<(Self::Staged, Self::Kept)> {
        let (first, others) = P::Values::split(values);
        let (staged, kept) = P::stage(cx, first).map_err(|cause| site.error(cause))?;
        let (others_staged, others_kept) = R::stage(cx, others, site.next())?;
        Ok(((staged, others_staged), (kept, others_kept)))
    }

    #[inline]
    fn lend<'a>(
        (staged, others_staged): Self::Staged,
        (kept, others_kept): &'a mut Self::Kept,
        memory: &'a [u8],
        site: Site<'_>,
    ) -> Result<Self::Lent<'a>> {
        let first = P::lend(staged, kept, memory).map_err(|cause| site.error(cause))?;
        Ok((first, R::lend(others_staged, others_kept, memory, site.next())?))
    }

    #[inline]
    fn finish<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (kept, others): Self::Kept,
        site: Site<'_>,
    ) -> Result<()> {
        P::finish(cx, kept).map_err(|cause| site.error(cause))?;
        R::finish(cx, others, site.next())
    }
}
