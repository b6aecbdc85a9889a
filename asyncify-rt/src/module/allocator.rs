//! The guest's allocator: by names and exact types.

use serde::{Deserialize, Serialize};
use wasmparser::ValType;

use super::parse::Parsed;

/// The guest's allocator, by the exports that make it up.
///
/// ```
/// # use asyncify::{Allocator, Prepared};
/// let prepared = Prepared::new(r#"(module (memory 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))"#)?;
/// let allocator = prepared.findings().allocator().expect("an allocator");
/// assert!(matches!(allocator, Allocator::CabiRealloc { free: None, .. }));
/// assert!(allocator.functions().eq(["cabi_realloc"]));
/// # Ok::<(), asyncify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Allocator {
    /// C's: `malloc(size) -> ptr` and `free(ptr)`. Or a pair of which the second is told the size
    /// again, with or without an alignment: `alloc` and `dealloc`, `allocate` and `deallocate`,
    /// `__wbindgen_malloc` and `__wbindgen_free`, as `(size) -> ptr` and `(ptr, size)` or as
    /// `(size, align) -> ptr` and `(ptr, size, align)`.
    Malloc {
        /// The export that allocates.
        malloc: String,
        /// The export that frees.
        free: String,
    },
    /// `malloc` or `proxy_on_memory_allocate` alone: arguments, results and windows that are given
    /// up stay in the guest's memory.
    AllocateOnly {
        /// The export that allocates: `(size) -> ptr`.
        malloc: String,
    },
    /// AssemblyScript's: `__new(size, class) -> ptr`, `__pin(ptr) -> ptr` and `__unpin(ptr)`.
    AssemblyScript {
        /// The export `__new`.
        new: String,
        /// The export `__pin`.
        pin: String,
        /// The export `__unpin`.
        unpin: String,
    },
    /// The component model's: `cabi_realloc(old, old_size, align, new_size) -> ptr`, and `free(ptr)`
    /// if that is exported too. By itself it has no way to free, since not every guest takes a new
    /// size of 0 for that: arguments, results and windows that are given up stay in the guest's
    /// memory. A guest that is called often with text should export `free`.
    CabiRealloc {
        /// The export `cabi_realloc`.
        realloc: String,
        /// The export `free`.
        free: Option<String>,
    },
}

impl Allocator {
    /// The exports that make it up. See [`Allocator`] for an example.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Malloc { malloc, free } => [Some(malloc), Some(free), None],
            Self::AllocateOnly { malloc } => [Some(malloc), None, None],
            Self::AssemblyScript { new, pin, unpin } => [Some(new), Some(pin), Some(unpin)],
            Self::CabiRealloc { realloc, free } => [Some(realloc), free.as_ref(), None],
        };
        names.into_iter().flatten().map(String::as_str)
    }
}

/// Pairs of which the second is told the size: by these names and types nothing else is meant.
const SIZED: [(&str, &str); 3] =
    [("__wbindgen_malloc", "__wbindgen_free"), ("alloc", "dealloc"), ("allocate", "deallocate")];

/// What allocates, where nothing frees.
const ALONE: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// Finds the allocator: C's first, which guests use themselves.
pub(super) fn find(parsed: &Parsed<'_>) -> Option<Allocator> {
    let p = parsed.width().value_type();
    let exported = |name: &str, params: &[ValType], results: &[ValType]| {
        let function = parsed.exported_function(name)?;
        parsed.has_type(function, params, results).then(|| name.to_owned())
    };
    let pair = |(malloc, free): (&str, &str), own: usize, back: usize| {
        let params = [p; 3];
        Some(Allocator::Malloc {
            malloc: exported(malloc, params.get(..own)?, &[p])?,
            free: exported(free, params.get(..back)?, &[])?,
        })
    };
    let assembly_script = || {
        let i = ValType::I32;
        Some(Allocator::AssemblyScript {
            new: exported("__new", &[i, i], &[i])?,
            pin: exported("__pin", &[i], &[i])?,
            unpin: exported("__unpin", &[i], &[])?,
        })
    };
    let sized = || {
        let shapes = SIZED.into_iter().flat_map(|names| [(names, 1), (names, 2)]);
        shapes.into_iter().find_map(|(names, own)| pair(names, own, own + 1))
    };
    let cabi = || {
        let realloc = exported("cabi_realloc", &[p; 4], &[p])?;
        Some(Allocator::CabiRealloc { realloc, free: exported("free", &[p], &[]) })
    };
    let alone = || {
        let malloc = ALONE.into_iter().find_map(|name| exported(name, &[p], &[p]))?;
        Some(Allocator::AllocateOnly { malloc })
    };
    pair(("malloc", "free"), 1, 1)
        .or_else(assembly_script)
        .or_else(sized)
        .or_else(cabi)
        .or_else(alone)
}
