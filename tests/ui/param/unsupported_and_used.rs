#![allow(unused_variables)]

use asyncify::{GuestCx, OutBuf};
use std::path::{Path, PathBuf};

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn resolve(&self, count: u32, name: PathBuf, more: &str, out: &mut OutBuf) -> u32 {
        0
    }

    fn plain(&self, name: &Path, more: &[u8]) {}

    fn in_guest<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, name: PathBuf) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
