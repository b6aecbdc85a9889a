#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn name(&self, name: Option<&str>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
