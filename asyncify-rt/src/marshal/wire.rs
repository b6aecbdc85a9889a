//! Tuples of wasm values, and how a type's values stand in a function's signature.
//!
//! A type names its ABI ([`FromGuest::Abi`](super::FromGuest::Abi)): one wasm value, a tuple of
//! them, a [`Slice`], or a value-or-code. The ABI decides its form by position: a slice is two
//! parameters, but one packed result.

use std::fmt;

use wasmtime::{Caller, Linker, V128, Val, WasmParams, WasmResults, WasmRet, WasmTy};

use crate::error::Trap;
use crate::parts::memory::Slice;
use crate::store::State;

/// The type of one wasm value that a host function takes or returns.
///
/// ```
/// use asyncify::ValueType;
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     fn half(&self, number: f64) -> f64 { number / 2.0 }
/// }
/// assert_eq!(Host::IMPORTS[0].results, [ValueType::F64]);
/// assert_eq!(ValueType::F64.to_string(), "f64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
    /// A 128-bit vector.
    V128,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
        })
    }
}

/// One wasm value as Rust holds it.
pub trait Value: WasmTy + Copy + Send + 'static {
    /// Its wasm type.
    const TYPE: ValueType;
    /// What an import returns while the guest unwinds.
    fn zero() -> Self;
    /// Reads the value out of a dynamic one of the same type.
    fn from_val(val: &Val) -> Option<Self>;
}

macro_rules! value {
    ($($ty:ty, $kind:ident, $zero:expr, $val:pat => $get:expr;)*) => { $(
        impl Value for $ty {
            const TYPE: ValueType = ValueType::$kind;
            fn zero() -> Self {
                $zero
            }
            fn from_val(val: &Val) -> Option<Self> {
                match *val {
                    $val => Some($get),
                    _ => None,
                }
            }
        }
    )* };
}

value! {
    i32, I32, 0, Val::I32(value) => value;
    u32, I32, 0, Val::I32(value) => value.cast_unsigned();
    i64, I64, 0, Val::I64(value) => value;
    u64, I64, 0, Val::I64(value) => value.cast_unsigned();
    f32, F32, 0.0, Val::F32(bits) => f32::from_bits(bits);
    f64, F64, 0.0, Val::F64(bits) => f64::from_bits(bits);
}

impl Value for V128 {
    const TYPE: ValueType = ValueType::V128;
    fn zero() -> Self {
        0_u128.into()
    }
    fn from_val(val: &Val) -> Option<Self> {
        match *val {
            Val::V128(value) => Some(value),
            _ => None,
        }
    }
}

/// The parameters or results of a wasm function: a tuple of up to 16 values.
pub trait Values: WasmParams + WasmResults + WasmRet + Copy + Send + 'static {
    /// The type of each value.
    const TYPES: &'static [ValueType];
    /// All zeros: what an import returns while the guest unwinds.
    fn zero() -> Self;
    /// Reads the values out of dynamic ones, if number and types are right.
    fn from_vals(vals: &[Val]) -> Option<Self>;
    /// Defines `module.name` as a function from these values to `R`.
    #[doc(hidden)]
    fn define<T, R, F>(
        linker: &mut Linker<State<T>>,
        module: &str,
        name: &str,
        function: F,
    ) -> wasmtime::Result<()>
    where
        T: Send + 'static,
        R: Values,
        F: Fn(Caller<'_, State<T>>, Self) -> wasmtime::Result<R> + Send + Sync + 'static;
}

/// Two tuples of values in a row.
#[diagnostic::on_unimplemented(
    message = "this function takes more than 16 wasm values",
    note = "text, bytes and `OutBuf` are two values each; pass a pointer to a struct instead"
)]
pub trait Concat<B: Values>: Values {
    /// The values of both.
    type Out: Values;
    /// Takes them apart again.
    fn split(joined: Self::Out) -> (Self, B);
    /// Puts them in a row.
    fn join(self, other: B) -> Self::Out;
}

macro_rules! values {
    ($($v:ident)*) => {
        #[allow(non_snake_case, clippy::unused_unit, reason = "written once for every arity")]
        impl<$($v: Value),*> Values for ($($v,)*) {
            const TYPES: &'static [ValueType] = &[$($v::TYPE),*];
            fn zero() -> Self {
                ($($v::zero(),)*)
            }
            fn from_vals(vals: &[Val]) -> Option<Self> {
                let [$($v),*] = vals else { return None };
                Some(($($v::from_val($v)?,)*))
            }
            fn define<T, R, F>(
                linker: &mut Linker<State<T>>,
                module: &str,
                name: &str,
                function: F,
            ) -> wasmtime::Result<()>
            where
                T: Send + 'static,
                R: Values,
                F: Fn(Caller<'_, State<T>>, Self) -> wasmtime::Result<R> + Send + Sync + 'static,
            {
                linker.func_wrap(
                    module,
                    name,
                    move |caller: Caller<'_, State<T>>, $($v: $v),*| function(caller, ($($v,)*)),
                )?;
                Ok(())
            }
        }
    };
}

macro_rules! concat {
    ([$($a:ident)*] [$($b:ident)*]) => {
        #[allow(non_snake_case, clippy::unused_unit, reason = "written once for every arity")]
        impl<$($a: Value,)* $($b: Value),*> Concat<($($b,)*)> for ($($a,)*) {
            type Out = ($($a,)* $($b,)*);
            fn split(joined: Self::Out) -> (Self, ($($b,)*)) {
                let ($($a,)* $($b,)*) = joined;
                (($($a,)*), ($($b,)*))
            }
            fn join(self, other: ($($b,)*)) -> Self::Out {
                let ($($a,)*) = self;
                let ($($b,)*) = other;
                ($($a,)* $($b,)*)
            }
        }
    };
}

/// Every way to cut the names in two.
macro_rules! cuts {
    ([$($a:ident)*] []) => { concat!([$($a)*] []); };
    ([$($a:ident)*] [$b:ident $($rest:ident)*]) => {
        concat!([$($a)*] [$b $($rest)*]);
        cuts!([$($a)* $b] [$($rest)*]);
    };
}

macro_rules! arities {
    () => { values!(); cuts!([] []); };
    ($first:ident $($rest:ident)*) => {
        values!($first $($rest)*);
        cuts!([] [$first $($rest)*]);
        arities!($($rest)*);
    };
}

arities!(V1 V2 V3 V4 V5 V6 V7 V8 V9 V10 V11 V12 V13 V14 V15 V16);

/// A type's values as parameters of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand among a function's parameters",
    note = "parameters are wasm values, tuples of them, and slices"
)]
pub trait ParamAbi: Copy + Send + 'static {
    /// The values in a signature.
    type Values: Values;
    /// From the values that were passed.
    fn from_values(values: Self::Values) -> Self;
    /// To the values to pass.
    fn into_values(self) -> Self::Values;
}

/// A type's values as results of a function.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be a function's result")]
pub trait ResultAbi: Copy + Send + 'static {
    /// The values in a signature.
    type Values: Values;
    /// From the values that were returned.
    ///
    /// # Errors
    /// If no value of this type looks like that.
    fn from_values(values: Self::Values) -> Result<Self, Trap>;
    /// To the values to return.
    ///
    /// # Errors
    /// If the guest would take this value for another.
    fn into_values(self) -> Result<Self::Values, Trap>;
    /// What the guest allocated for an export's result: the host frees it when it has read it.
    fn allocation(&self) -> Option<Slice> {
        None
    }
}

macro_rules! scalar_abi {
    ($($ty:ty)*) => { $(
        impl ParamAbi for $ty {
            type Values = ($ty,);
            fn from_values((value,): Self::Values) -> Self { value }
            fn into_values(self) -> Self::Values { (self,) }
        }
        impl ResultAbi for $ty {
            type Values = ($ty,);
            fn from_values((value,): Self::Values) -> Result<Self, Trap> { Ok(value) }
            fn into_values(self) -> Result<Self::Values, Trap> { Ok((self,)) }
        }
    )* };
}

scalar_abi!(i32 u32 i64 u64 f32 f64 V128);

macro_rules! tuple_abi {
    ($($v:ident)*) => {
        impl<$($v: Value),*> ParamAbi for ($($v,)*) {
            type Values = Self;
            fn from_values(values: Self) -> Self { values }
            fn into_values(self) -> Self { self }
        }
        impl<$($v: Value),*> ResultAbi for ($($v,)*) {
            type Values = Self;
            fn from_values(values: Self) -> Result<Self, Trap> { Ok(values) }
            fn into_values(self) -> Result<Self, Trap> { Ok(self) }
        }
    };
}

tuple_abi!();
tuple_abi!(V1);
tuple_abi!(V1 V2);
tuple_abi!(V1 V2 V3);
tuple_abi!(V1 V2 V3 V4);
tuple_abi!(V1 V2 V3 V4 V5);
tuple_abi!(V1 V2 V3 V4 V5 V6);
tuple_abi!(V1 V2 V3 V4 V5 V6 V7);
tuple_abi!(V1 V2 V3 V4 V5 V6 V7 V8);

impl ParamAbi for Slice {
    type Values = (u32, u32);
    fn from_values((ptr, len): Self::Values) -> Self {
        Self { ptr, len }
    }
    fn into_values(self) -> Self::Values {
        (self.ptr, self.len)
    }
}

impl ResultAbi for Slice {
    type Values = (u64,);
    fn from_values((packed,): Self::Values) -> Result<Self, Trap> {
        Ok(Self::unpacked(packed))
    }
    fn into_values(self) -> Result<Self::Values, Trap> {
        Ok((self.packed(),))
    }
    fn allocation(&self) -> Option<Slice> {
        Some(*self)
    }
}

/// A [`Slice`] that an export returns and the guest keeps.
#[derive(Clone, Copy, Debug)]
pub struct LentSlice(pub(crate) Slice);

impl ResultAbi for LentSlice {
    type Values = (u64,);
    fn from_values(values: Self::Values) -> Result<Self, Trap> {
        <Slice as ResultAbi>::from_values(values).map(Self)
    }
    fn into_values(self) -> Result<Self::Values, Trap> {
        ResultAbi::into_values(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slice_is_the_same_unpacked(ptr: u32, len: u32) {
            let slice = Slice { ptr, len };
            prop_assert_eq!(Slice::unpacked(slice.packed()), slice);
            prop_assert_eq!(slice.packed() >> 32, u64::from(len));
            prop_assert_eq!(slice.packed() & 0xffff_ffff, u64::from(ptr));
        }

        #[test]
        fn values_that_are_joined_are_split_the_same(a: u32, b: u64, c: f64, d: i64) {
            let joined = Concat::join((a, b), (c, d));
            prop_assert_eq!(joined.1, b);
            let (left, right) = <(u32, u64) as Concat<(f64, i64)>>::split(joined);
            prop_assert_eq!(left, (a, b));
            prop_assert_eq!((right.0.to_bits(), right.1), (c.to_bits(), d));
        }

        #[test]
        fn dynamic_values_keep_their_bits(a: u32, b: i64, c: u32, d: u64) {
            let vals = [
                Val::I32(a.cast_signed()),
                Val::I64(b),
                Val::F32(c),
                Val::F64(d),
            ];
            let (x, y, z, w) = <(u32, i64, f32, f64)>::from_vals(&vals).unwrap();
            prop_assert_eq!((x, y, z.to_bits(), w.to_bits()), (a, b, c, d));
        }
    }

    #[test]
    fn dynamic_values_of_another_number_or_type_are_none() {
        let (int, long) = (Val::I32(1), Val::I64(1));
        assert_eq!(<(u32, i64)>::from_vals(&[int, long]), Some((1, 1)));
        assert_eq!(<(u32, i64)>::from_vals(&[long, int]), None);
        assert_eq!(<(u32, i64)>::from_vals(&[int]), None);
        assert_eq!(<(u32,)>::from_vals(&[int, long]), None);
        assert_eq!(<()>::from_vals(&[]), Some(()));
        assert_eq!(<()>::from_vals(&[int]), None);
    }

    #[test]
    fn a_tuple_names_its_types_and_has_zeros_of_them() {
        use ValueType::{F32, F64, I32, I64, V128 as Vector};
        assert_eq!(<(i32, u64, f32, f64, V128)>::TYPES, [I32, I64, F32, F64, Vector]);
        let zero = <(i32, u64, f32, f64, V128)>::zero();
        assert_eq!((zero.0, zero.1, zero.2.to_bits(), zero.3.to_bits()), (0, 0, 0, 0));
        assert_eq!(zero.4.as_u128(), 0);
        assert_eq!(<()>::TYPES, []);
    }
}
