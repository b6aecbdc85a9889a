//! An export's arguments and its result.

use super::returned::give_back;
use super::{
    Borrowed, Concat, Direct, FromGuest, IntoGuest, OutPtr, OutPtrAbi, ParamAbi, Ref, ResultAbi,
    Site, Slice, Val, Values,
};
use crate::cx::GuestCx;
use crate::error::{Result, Trap};
use crate::parts::memory;
use crate::parts::passed::Passed;

/// One argument of an export: owned by the call until the guest runs.
pub trait Arg: 'static {
    /// The values in the signature.
    type Values: Values;
    /// What the call keeps.
    type Owned: Send + 'static;

    /// Puts the argument into the guest.
    ///
    /// # Errors
    /// If the guest has no room for it.
    fn place<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        owned: Self::Owned,
    ) -> Result<Self::Values, Trap>;
}

impl<V> Arg for Val<V>
where
    V: IntoGuest<Abi: ParamAbi> + Send + 'static,
{
    type Values = <V::Abi as ParamAbi>::Values;
    type Owned = V;

    #[inline]
    fn place<T: Send + 'static>(cx: &mut GuestCx<'_, T>, owned: V) -> Result<Self::Values, Trap> {
        Ok(owned.into_guest(cx)?.into_values())
    }
}

impl<B: Borrowed + ?Sized> Arg for Ref<B>
where
    B::Owned: IntoGuest<Abi = Slice>,
{
    type Values = (u32, u32);
    type Owned = B::Owned;

    fn place<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        owned: B::Owned,
    ) -> Result<(u32, u32), Trap> {
        Ok(ParamAbi::into_values(owned.into_guest(cx)?))
    }
}

/// All arguments of an export: `()`, or the first and the others.
pub trait Args: 'static {
    /// The values in the signature.
    type Values: Values;
    /// [`Arg::Owned`] of each.
    type Owned: Send + 'static;

    /// [`Arg::place`] for each, in order.
    ///
    /// # Errors
    /// The first argument's that has no room.
    fn place<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        owned: Self::Owned,
        site: Site<'_>,
    ) -> Result<Self::Values>;
}

impl Args for () {
    type Values = ();
    type Owned = ();

    fn place<T: Send + 'static>(_: &mut GuestCx<'_, T>, (): (), _: Site<'_>) -> Result<()> {
        Ok(())
    }
}

impl<A, R> Args for (A, R)
where
    A: Arg<Values: Concat<R::Values>>,
    R: Args,
{
    type Values = <A::Values as Concat<R::Values>>::Out;
    type Owned = (A::Owned, R::Owned);

    #[inline]
    fn place<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (first, others): Self::Owned,
        site: Site<'_>,
    ) -> Result<Self::Values> {
        let first = A::place(cx, first).map_err(|cause| site.error(cause))?;
        Ok(first.join(R::place(cx, others, site.next())?))
    }
}

/// How an export's result comes back.
pub trait Output<R>: 'static {
    /// What is added to the parameters.
    type Params: Values;
    /// The results in the signature.
    type Results: Values;

    /// Makes room for what the export will store.
    ///
    /// # Errors
    /// If the guest has none.
    fn prepare<T: Send + 'static>(cx: &mut GuestCx<'_, T>) -> Result<Self::Params, Trap>;

    /// Reads the result. `placed` is what the arguments lie in.
    ///
    /// # Errors
    /// If the guest returned something else than its type says.
    fn receive<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        params: Self::Params,
        results: Self::Results,
        placed: &[Slice],
    ) -> Result<R, Trap>;
}

impl<R: FromGuest<Abi: ResultAbi>> Output<R> for Direct {
    type Params = ();
    type Results = <R::Abi as ResultAbi>::Values;

    #[inline]
    fn prepare<T: Send + 'static>(_: &mut GuestCx<'_, T>) -> Result<(), Trap> {
        Ok(())
    }

    #[inline]
    fn receive<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (): (),
        results: Self::Results,
        placed: &[Slice],
    ) -> Result<R, Trap> {
        take(cx, R::Abi::from_values(results)?, placed)
    }
}

impl<R: FromGuest<Abi: OutPtrAbi>> Output<R> for OutPtr {
    type Params = (u32,);
    type Results = <R::Abi as OutPtrAbi>::Status;

    fn prepare<T: Send + 'static>(cx: &mut GuestCx<'_, T>) -> Result<(u32,), Trap> {
        Ok((cx.place(&[0; 8])?.ptr,))
    }

    fn receive<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (at,): (u32,),
        status: Self::Results,
        placed: &[Slice],
    ) -> Result<R, Trap> {
        let stored = memory::slice(cx.memory(), at.into(), 8)?;
        let packed = stored.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        take(cx, R::Abi::read(status, Slice::unpacked(packed))?, placed)
    }
}

/// Reads a result, and frees what the guest allocated for it.
#[inline]
fn take<T, R>(cx: &mut GuestCx<'_, T>, abi: R::Abi, placed: &[Slice]) -> Result<R, Trap>
where
    T: Send + 'static,
    R: FromGuest<Abi: ResultAbi>,
{
    if R::COPIES {
        cx.vm.rt().run.passed = Passed::default();
    }
    let allocation = abi.allocation();
    let result = R::from_guest(cx, abi);
    if let Some(block) = allocation {
        give_back(cx, block, placed)?;
    }
    result
}
