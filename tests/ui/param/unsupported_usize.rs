#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn skip(&self, bytes: usize) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
