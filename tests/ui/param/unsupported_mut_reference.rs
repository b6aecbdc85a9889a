#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn next(&self, count: &mut u32) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
