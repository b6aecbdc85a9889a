#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn read(&self, buffer: &mut [u8]) -> u32 {
        0
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
