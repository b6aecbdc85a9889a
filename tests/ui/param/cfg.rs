#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn log(&self, #[cfg(all())] line: &str) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
