#![allow(unused_variables)]

use std::path::PathBuf;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn resolve(&self, name: PathBuf) -> u32 {
        0
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
