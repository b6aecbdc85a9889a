//! What can be called.

use wasmtime::StoreContextMut;

use crate::cx::GuestCx;
use crate::error::Result;
use crate::parts::memory::Slice;
use crate::store::{Inner, State};

/// What a call calls, and how its values get there and back.
pub(crate) trait Target<T: Send + 'static>: Send + Sync + 'static {
    type Args: Send + 'static;
    /// The wasm values to call with.
    type Params;
    /// What is needed of them when the function has returned.
    type Kept: Send + 'static;
    /// The wasm values that it returns.
    type Raw;
    type Output: Send + 'static;

    fn name(&self) -> &str;
    fn guest(&self) -> &Inner<T>;
    fn place(
        &self,
        cx: &mut GuestCx<'_, T>,
        args: Self::Args,
    ) -> Result<(Self::Params, Self::Kept)>;
    fn invoke(
        &self,
        store: StoreContextMut<'_, State<T>>,
        params: Self::Params,
    ) -> wasmtime::Result<Self::Raw>;
    /// Calls again, to rewind: the arguments are not looked at.
    fn invoke_again(
        &self,
        store: StoreContextMut<'_, State<T>>,
        kept: &Self::Kept,
    ) -> wasmtime::Result<Self::Raw>;
    /// Makes the output. `placed` is what the arguments lie in.
    fn finish(
        &self,
        cx: &mut GuestCx<'_, T>,
        kept: Self::Kept,
        raw: Self::Raw,
        placed: &[Slice],
    ) -> Result<Self::Output>;
}
