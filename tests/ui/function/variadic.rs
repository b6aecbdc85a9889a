#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn printf(&self, format: &str, _: ...) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
