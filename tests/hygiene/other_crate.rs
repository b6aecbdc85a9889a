//! The library under another name.

#![allow(missing_docs, missing_debug_implementations)]

mod asyncify {}

pub struct Host;

#[renamed::imports(module = "env", crate = ::renamed)]
impl Host {
    pub async fn sleep(&self, ms: u32) {
        let _ = ms;
    }
}

#[renamed::exports(crate = renamed)]
pub trait App {
    async fn run(&self, path: &str);
}
