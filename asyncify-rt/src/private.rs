//! Not public API: what the attributes' expansions use.

pub use std::string::String;
pub use std::sync::Arc;

pub use crate::cx::GuestCx;
pub use crate::error::Result;
pub use crate::guest::{Call, ExportFn, ExportInfo, ExportLookup, Exports, PlainCall};
pub use crate::imports::{
    AsyncImports, ImportInfo, Imports, ListedBy, PartOf, host_wasm_opt_args, is_listed, is_part,
    join, total,
};
pub use crate::marshal::{
    Answer, Arg, Args, Borrowed, Coded, Concat, Direct, FromGuest, IntoGuest, LentSlice, Mut,
    OrCode, OutPtr, OutPtrAbi, Output, Param, ParamAbi, ParamInfo, Params, Ref, ResultAbi, Site,
    Val, Value, Values, Writable,
};

/// `X`. Where the constant that says `OK` has an error, the compiler takes this for no type, and
/// says nothing more about it: a type that cannot cross is reported once, where its
/// [`ImportInfo`] or [`ExportInfo`] is made, and not again wherever it is used.
pub type Checked<const OK: bool, X> = <If<OK> as Is<X>>::Type;

/// Carries the constant of [`Checked`].
#[derive(Debug)]
pub struct If<const OK: bool>;

/// Gives [`Checked`] its type.
pub trait Is<X> {
    /// `X`
    type Type;
}

impl<const OK: bool, X> Is<X> for If<OK> {
    type Type = X;
}

/// Asks of a host what all its imports need, so that it is asked once.
#[must_use]
pub const fn is_shared<H: Send + Sync + 'static>() -> bool {
    true
}
