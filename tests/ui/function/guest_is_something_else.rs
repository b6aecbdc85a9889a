#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn first<T: Send + 'static>(&self, cx: &mut Vec<T>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
