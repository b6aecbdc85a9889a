#![allow(unused_variables)]

use asyncify::GuestCx;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn first<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, data: Vec<T>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
