#![allow(unused_variables)]

use asyncify::GuestCx;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
