//! What the fuzz targets run, each a function of any bytes that panics where a promise is broken.

/// `Arbitrary` for an enum, each variant as likely as the next.
macro_rules! choices {
    ($ty:ty: $($variant:ident $({ $($field:ident),* })? $(($($value:ident),*))?),*) => {
        impl<'a> arbitrary::Arbitrary<'a> for $ty {
            fn arbitrary(input: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                type Make<'a> = fn(&mut arbitrary::Unstructured<'a>) -> arbitrary::Result<$ty>;
                let makes: &[Make<'a>] = &[$(|_input| {
                    $($(let $field = _input.arbitrary()?;)*)?
                    $($(let $value = _input.arbitrary()?;)*)?
                    Ok(Self::$variant $({ $($field),* })? $(($($value),*))?)
                }),*];
                input.choose(makes)?(input)
            }
        }
    };
}

pub mod guests;
pub mod loader;
pub mod macro_input;
pub mod marshalling;
pub mod memory;

// The attributes' own sources: nothing but a compiler can call them where they are. They name each
// other by `crate::…`, so they stand in this crate's root.
#[path = "../../asyncify-macros/src"]
mod attributes {
    pub(crate) mod attr;
    pub(crate) mod check;
    pub(crate) mod errors;
    pub(crate) mod expand;
    pub(crate) mod fallback;
    pub(crate) mod model;
    pub(crate) mod phases;
}
use attributes::{attr, check, errors, expand, fallback, model, phases};

/// As many values as there is input for, and `most` at most.
fn list<'a, T: arbitrary::Arbitrary<'a>>(
    input: &mut arbitrary::Unstructured<'a>,
    most: usize,
) -> Vec<T> {
    let next = |_| if input.is_empty() { None } else { input.arbitrary().ok() };
    (0..most).map_while(next).collect()
}
