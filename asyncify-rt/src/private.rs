//! Not public API: what the attributes' expansions use.

pub use std::sync::Arc;

pub use crate::call::Call;
pub use crate::cx::GuestCx;
pub use crate::exports::{ExportInfo, ExportLookup, Exports};
pub use crate::function::ExportFn;
pub use crate::imports::{AsyncImports, ImportInfo, Imports, host_wasm_opt_args};
pub use crate::marshal::{
    Answer, Arg, Args, Borrowed, Concat, Direct, FromGuest, IntoGuest, Mut, OutPtr, OutPtrAbi,
    Output, Param, ParamAbi, ParamInfo, Params, Ref, ResultAbi, Site, Val, Value, Values, Writable,
};
