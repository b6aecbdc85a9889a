//! Signatures, as an error tells them.

use std::fmt;

use wasmtime::FuncType;

/// A signature as the guest's text format would have it.
pub(crate) fn signature<V: fmt::Display>(params: &[V], results: &[V]) -> String {
    let list = |values: &[V]| values.iter().map(V::to_string).collect::<Vec<_>>().join(", ");
    format!("({}) -> ({})", list(params), list(results))
}

pub(crate) fn signature_of(ty: &FuncType) -> String {
    signature(&ty.params().collect::<Vec<_>>(), &ty.results().collect::<Vec<_>>())
}
