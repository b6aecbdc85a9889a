#![allow(unused_variables)]

use asyncify::GuestCx;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn count(&self, cx: &mut GuestCx<'_, ()>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
