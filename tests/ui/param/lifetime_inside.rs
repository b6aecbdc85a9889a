#![allow(unused_variables)]

use std::borrow::Cow;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn open<'a>(&self, path: Cow<'a, str>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
