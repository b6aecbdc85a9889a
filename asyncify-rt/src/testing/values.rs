//! Wasm values as a test writes them.

use wasmtime::{V128, Val};

use crate::marshal::{Slice, Value, ValueType};

/// One argument of [`Mock::call`](super::Mock::call): a number, or a [`Slice`], which is two
/// values.
///
/// Implemented for `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, `wasmtime::V128` and `Slice`. All
/// else is one of these to a guest: a `bool` or a `char` is an i32, a text is a `Slice`.
///
/// ```
/// # use asyncify::testing::GuestValue;
/// # use asyncify::Slice;
/// fn takes(_: impl GuestValue) {}
/// takes(-1_i64);
/// takes(Slice { ptr: 16, len: 4 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no wasm value",
    label = "not a value that a guest passes",
    note = "a guest passes `i32`, `u32`, `i64`, `u64`, `f32`, `f64` and `V128`; a `bool` or a `char` is an `i32`; for text and bytes use `Mock::place`, and pass the `Slice`"
)]
pub trait GuestValue: sealed::One {}

/// The arguments of [`Mock::call`](super::Mock::call): `()`, one [`GuestValue`], or a tuple of up
/// to 12. A `Vec` of wasmtime's dynamic values is taken too.
///
/// ```
/// # use asyncify::testing::GuestValues;
/// # use asyncify::Slice;
/// # use asyncify::wasmtime::Val;
/// fn takes(_: impl GuestValues) {}
/// takes(());
/// takes(7);
/// takes((7, Slice { ptr: 16, len: 4 }, 0.5_f64));
/// takes(vec![Val::I32(7)]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of wasm values",
    label = "not what a guest passes",
    note = "pass `()`, one value, a tuple of up to 12, or a `Vec<wasmtime::Val>`; text and bytes go through `Mock::place`"
)]
pub trait GuestValues: sealed::Many {}

/// The results of [`Mock::call`](super::Mock::call): `()`, a number, a [`Slice`] (one i64: text or
/// bytes, packed), or a tuple of up to 8 numbers.
///
/// ```
/// # use asyncify::testing::Results;
/// fn returns<R: Results>() {}
/// returns::<()>();
/// returns::<i32>();
/// returns::<asyncify::Slice>();
/// returns::<(i32, f64)>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that wasm returns",
    label = "not what a guest is answered with",
    note = "an import returns `()`, `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, `V128`, a `Slice`, or a tuple of up to 8 numbers; a `bool` or a `char` is an `i32`, and an error is its code, in the number's place"
)]
pub trait Results: sealed::Answer {}

/// What a test needs not see.
mod sealed {
    use wasmtime::Val;

    use crate::marshal::ValueType;

    #[doc(hidden)]
    pub trait One {
        fn push_to(self, vals: &mut Vec<Val>);
    }

    #[doc(hidden)]
    pub trait Many {
        fn append_to(self, vals: &mut Vec<Val>);
    }

    #[doc(hidden)]
    pub trait Answer: Sized {
        fn types() -> &'static [ValueType];
        fn from_vals(vals: &[Val]) -> Option<Self>;
    }
}

/// The types of values that came out of a [`GuestValues`]. A reference has none.
pub(super) fn types(vals: &[Val]) -> Vec<ValueType> {
    let ty = |val: &Val| match val {
        Val::I32(_) => Some(ValueType::I32),
        Val::I64(_) => Some(ValueType::I64),
        Val::F32(_) => Some(ValueType::F32),
        Val::F64(_) => Some(ValueType::F64),
        Val::V128(_) => Some(ValueType::V128),
        _ => None,
    };
    vals.iter().filter_map(ty).collect()
}

macro_rules! scalars {
    ($($ty:ty, $value:ident => $val:expr;)*) => { $(
        #[diagnostic::do_not_recommend]
        impl GuestValue for $ty {}
        impl sealed::One for $ty {
            fn push_to(self, vals: &mut Vec<Val>) {
                let $value = self;
                vals.push($val);
            }
        }
        #[diagnostic::do_not_recommend]
        impl GuestValues for $ty {}
        impl sealed::Many for $ty {
            fn append_to(self, vals: &mut Vec<Val>) {
                sealed::One::push_to(self, vals);
            }
        }
        #[diagnostic::do_not_recommend]
        impl Results for $ty {}
        impl sealed::Answer for $ty {
            fn types() -> &'static [ValueType] {
                &[<$ty as Value>::TYPE]
            }
            fn from_vals(vals: &[Val]) -> Option<Self> {
                vals.first().and_then(<$ty as Value>::from_val)
            }
        }
    )* };
}

scalars! {
    i32, value => Val::I32(value);
    u32, value => Val::I32(value.cast_signed());
    i64, value => Val::I64(value);
    u64, value => Val::I64(value.cast_signed());
    f32, value => Val::F32(value.to_bits());
    f64, value => Val::F64(value.to_bits());
    V128, value => Val::V128(value);
}

#[diagnostic::do_not_recommend]
impl GuestValue for Slice {}
impl sealed::One for Slice {
    fn push_to(self, vals: &mut Vec<Val>) {
        sealed::One::push_to(self.ptr, vals);
        sealed::One::push_to(self.len, vals);
    }
}

#[diagnostic::do_not_recommend]
impl GuestValues for Slice {}
impl sealed::Many for Slice {
    fn append_to(self, vals: &mut Vec<Val>) {
        sealed::One::push_to(self, vals);
    }
}

#[diagnostic::do_not_recommend]
impl Results for Slice {}
impl sealed::Answer for Slice {
    fn types() -> &'static [ValueType] {
        &[ValueType::I64]
    }
    fn from_vals(vals: &[Val]) -> Option<Self> {
        vals.first().and_then(<u64 as Value>::from_val).map(Self::unpacked)
    }
}

#[diagnostic::do_not_recommend]
impl GuestValues for Vec<Val> {}
impl sealed::Many for Vec<Val> {
    fn append_to(self, vals: &mut Vec<Val>) {
        vals.extend(self);
    }
}

macro_rules! tuples {
    ($($v:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<$($v: GuestValue),*> GuestValues for ($($v,)*) {}
        #[allow(non_snake_case, unused_variables, reason = "written once for every arity")]
        impl<$($v: GuestValue),*> sealed::Many for ($($v,)*) {
            fn append_to(self, vals: &mut Vec<Val>) {
                let ($($v,)*) = self;
                $($v.push_to(vals);)*
            }
        }
    };
}

macro_rules! arities {
    () => { tuples!(); };
    ($first:ident $($rest:ident)*) => {
        tuples!($first $($rest)*);
        arities!($($rest)*);
    };
}

arities!(V1 V2 V3 V4 V5 V6 V7 V8 V9 V10 V11 V12);

macro_rules! results {
    ($($v:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<$($v: Value),*> Results for ($($v,)*) {}
        #[allow(non_snake_case, reason = "written once for every arity")]
        impl<$($v: Value),*> sealed::Answer for ($($v,)*) {
            fn types() -> &'static [ValueType] {
                &[$($v::TYPE),*]
            }
            fn from_vals(vals: &[Val]) -> Option<Self> {
                let [$($v),*] = vals else { return None };
                Some(($($v::from_val($v)?,)*))
            }
        }
    };
}

results!();
results!(V1);
results!(V1 V2);
results!(V1 V2 V3);
results!(V1 V2 V3 V4);
results!(V1 V2 V3 V4 V5);
results!(V1 V2 V3 V4 V5 V6);
results!(V1 V2 V3 V4 V5 V6 V7);
results!(V1 V2 V3 V4 V5 V6 V7 V8);
