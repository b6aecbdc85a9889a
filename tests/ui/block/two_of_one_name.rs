#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn sleep(&self) {}

    #[asyncify(name = "sleep")]
    async fn sleep_ms(&self, ms: u32) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
