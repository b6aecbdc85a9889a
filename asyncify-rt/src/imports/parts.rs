//! Not public API: a host whose imports stand in several blocks. One of them is its [`Imports`], and
//! lists the others.
//!
//! [`Imports`]: super::Imports

use std::sync::Arc;

use super::info::ImportInfo;
use super::list::AsyncImports;

/// A block of `H` that another one lists, by the type that names it: implemented by
/// `#[asyncify::imports(…, part = Self)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no part of the imports of `{H}`",
    label = "no block of `{H}` is annotated as this part",
    note = "annotate the block that it stands for with `#[asyncify::imports(module = \"…\", part = {Self})]`"
)]
pub trait PartOf<H> {
    /// Every import of the block.
    const IMPORTS: &'static [ImportInfo];

    /// Adds every import of the block to `imports`.
    fn register<T: Send + 'static>(host: Arc<H>, imports: &mut AsyncImports<T>);
}

/// A part that a block of `H` lists.
#[diagnostic::on_unimplemented(
    message = "no block of `{H}` lists the part `{Self}`, so its imports would be missing",
    label = "this part is not listed",
    note = "annotate another block of `{H}`, one without `part`, with `#[asyncify::imports(module = \"…\", parts = [{Self}])]`"
)]
pub trait ListedBy<H> {}

/// Asks whether a block says that it is the part.
#[must_use]
pub const fn is_part<P: PartOf<H>, H>() -> bool {
    true
}

/// Asks whether a block lists the part.
#[must_use]
pub const fn is_listed<P: ListedBy<H>, H>() -> bool {
    true
}

/// How many imports the lists have.
#[must_use]
pub const fn total(lists: &[&[ImportInfo]]) -> usize {
    let (mut total, mut list) = (0, 0);
    while list < lists.len() {
        total += lists[list].len();
        list += 1;
    }
    total
}

/// The lists in a row: as many imports as there are.
#[must_use]
pub const fn join<const TOTAL: usize>(lists: &[&[ImportInfo]]) -> [ImportInfo; TOTAL] {
    let mut joined = [ImportInfo::NONE; TOTAL];
    let (mut at, mut list) = (0, 0);
    while list < lists.len() {
        let mut import = 0;
        while import < lists[list].len() {
            joined[at] = lists[list][import];
            (at, import) = (at + 1, import + 1);
        }
        list += 1;
    }
    joined
}
