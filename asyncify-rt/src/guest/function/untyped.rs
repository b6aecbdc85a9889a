//! A function of the guest, by its type in wasm.

use std::sync::Arc;

use wasmtime::{Func, FuncType};

use crate::error::Result;
use crate::marshal::ParamInfo;
use crate::store::Inner;

/// A function of the guest, not yet typed.
pub(crate) struct Function<T: Send + 'static> {
    pub(super) guest: Arc<Inner<T>>,
    pub(super) name: Arc<str>,
    pub(super) func: Func,
    pub(super) ty: FuncType,
    pub(super) params: &'static [ParamInfo],
}

impl<T: Send + 'static> Function<T> {
    pub(crate) fn new(
        guest: &Arc<Inner<T>>,
        name: &str,
        params: &'static [ParamInfo],
    ) -> Result<Self> {
        let (func, ty) = guest.find("function", name, |export| {
            Some((export.item.clone().into_func()?, export.ty.func()?.clone()))
        })?;
        Ok(Self { params, ..Self::of(Arc::clone(guest), name, func, ty) })
    }

    /// Any function of the guest's store.
    pub(crate) fn of(guest: Arc<Inner<T>>, name: &str, func: Func, ty: FuncType) -> Self {
        Self { guest, name: name.into(), func, ty, params: &[] }
    }
}
