#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(trampoline)]
    fn invoke(&self, function: u32) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
