//! This library's side: an instrumented guest, in any number of calls at once.

use asyncify::{Guest, Module, StackPolicy};
use wasmtime::Engine;

use crate::drive;
use crate::host::Host;

/// What the guest exports.
#[asyncify::exports]
pub trait Bench {
    /// Returns `x`.
    fn echo(&self, x: u32) -> u32;
    /// Calls `plain` n times.
    async fn plain(&self, n: u32) -> u32;
    /// Calls `text` n times.
    async fn text(&self, n: u32) -> u32;
    /// Calls `ready` n times.
    async fn ready(&self, n: u32) -> u32;
    /// Calls `bytes` n times with so many.
    async fn bytes(&self, n: u32, len: u32) -> u32;
    /// Waits n times below so many frames.
    async fn spin(&self, frames: u32, n: u32) -> u32;
}

/// One of them again, as if it might suspend.
#[asyncify::exports]
pub trait MaySuspend {
    /// Returns `x`.
    async fn echo(&self, x: u32) -> u32;
}

/// The instrumented guest, compiled.
pub fn module(engine: &Engine) -> Module {
    Module::from_file(engine, crate::guest("bench")).expect("the guest loads")
}

/// An instance of it.
pub fn instantiate(module: &Module, host: Host) -> (Guest, BenchExports) {
    let builder = Guest::builder(module).imports(host).stack_policy(StackPolicy::Copied);
    // For the deepest stacks that are measured.
    let builder = builder.window_size(1 << 20);
    let guest = drive::spin(builder.instantiate()).expect("the guest starts");
    let exports = guest.exports().expect("the guest has its exports");
    (guest, exports)
}
