#![allow(unused_variables)]

use asyncify::GuestCx;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn count<T: Send + 'static>(&self, from: u32, cx: &mut GuestCx<'_, T>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
