#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&self, other: &Self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
