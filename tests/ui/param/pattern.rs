#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&self, (seconds, ms): (u32, u32)) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
