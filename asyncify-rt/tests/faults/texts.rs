//! A guest's function that takes text, which is placed in the guest for each call of it.

use asyncify_rt::private::{Direct, ExportFn, ExportLookup, ParamInfo, Ref};
use asyncify_rt::{ExportInfo, Exports};

/// What `#[asyncify::exports]` would make of a trait with `async fn text(&self, text: &str) -> i32`.
pub(crate) struct Texts(pub(crate) ExportFn<(Ref<str>, ()), Direct, i32>);

impl Exports for Texts {
    const NAME: &'static str = "Texts";
    const EXPORTS: &'static [ExportInfo] = &[ExportInfo::new::<Direct, i32>(
        "text",
        true,
        &[ParamInfo::arg_by_ref::<str>("text", "&str")],
        "i32",
        "",
    )];

    fn from_guest_exports<T: Send + 'static>(lookup: &mut ExportLookup<'_, T>) -> Option<Self> {
        lookup.function(&Self::EXPORTS[0]).map(Self)
    }
}
