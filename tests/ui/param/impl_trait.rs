#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&self, ms: impl Into<u32>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
