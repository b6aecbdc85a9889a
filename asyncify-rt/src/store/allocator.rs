//! The guest's allocator, of whatever shape: its functions.

use wasmtime::TypedFunc;

pub(crate) enum Functions {
    Narrow(Pair<u32>),
    Wide(Pair<u64>),
    /// `cabi_realloc(old, old_size, align, new_size)`, and `free(pointer)` if there is one.
    Realloc {
        realloc: TypedFunc<(u32, u32, u32, u32), u32>,
        free: Free<u32>,
        names: Names,
    },
    /// AssemblyScript's `__new(size, class)`: an object stays only while it is pinned.
    Managed {
        new: TypedFunc<(u32, u32), u32>,
        pin: TypedFunc<u32, u32>,
        unpin: TypedFunc<u32, ()>,
    },
}

/// One function that allocates, and one that frees, if there is one.
pub(crate) struct Pair<P: 'static> {
    pub(crate) allocate: Allocate<P>,
    pub(crate) free: Free<P>,
    pub(crate) names: Names,
}

pub(crate) struct Names {
    pub(crate) allocate: String,
    pub(crate) free: String,
}

pub(crate) enum Allocate<P: 'static> {
    /// `(size)`.
    Size(TypedFunc<P, P>),
    /// `(size, align)`.
    Aligned(TypedFunc<(P, P), P>),
}

pub(crate) enum Free<P: 'static> {
    /// What is placed stays.
    Never,
    /// `(pointer)`.
    Pointer(TypedFunc<P, ()>),
    /// `(pointer, size)`.
    Sized(TypedFunc<(P, P), ()>),
    /// `(pointer, size, align)`.
    Aligned(TypedFunc<(P, P, P), ()>),
}
