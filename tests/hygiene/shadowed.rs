//! The names of the prelude mean something else.

#![allow(dead_code, missing_docs, missing_debug_implementations, non_camel_case_types)]

use asyncify::{FromGuest, GuestCx, IntoGuest, Trap};

pub struct Option;
pub struct String;
pub struct Vec;
pub struct Some;
pub struct Ok;
pub struct Arc;
pub struct Call;
pub struct Val;
pub struct bool;
pub trait Send {}
pub trait Sync {}
pub trait Sized {}
pub trait Future {}
pub trait Into {}
pub trait AsRef {}
pub trait Clone {}
pub trait Debug {}
pub trait Fn {}

mod core {}
mod std {}
mod asyncify_rt {}

pub struct Result(pub u32);

impl FromGuest for Result {
    type Abi = u32;
    fn from_guest<T: ::core::marker::Send + 'static>(
        _: &mut GuestCx<'_, T>,
        abi: u32,
    ) -> ::core::result::Result<Self, Trap> {
        ::core::result::Result::Ok(Self(abi))
    }
}

impl IntoGuest for Result {
    type Abi = u32;
    fn into_guest<T: ::core::marker::Send + 'static>(
        self,
        _: &mut GuestCx<'_, T>,
    ) -> ::core::result::Result<u32, Trap> {
        ::core::result::Result::Ok(self.0)
    }
}

pub struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn open(&self, path: &str) -> Result {
        let _ = path;
        Result(0)
    }

    fn size() -> u64 {
        0
    }
}

#[asyncify::exports]
pub trait App {
    async fn run(&self, path: &str, result: Result) -> Result;
}
