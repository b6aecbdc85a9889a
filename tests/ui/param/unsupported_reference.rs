#![allow(unused_variables)]

use std::path::Path;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn resolve(&self, name: &Path) -> u32 {
        0
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
