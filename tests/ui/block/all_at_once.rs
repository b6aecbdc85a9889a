#![allow(unused_variables)]

struct Host;

#[asyncify::imports(modul = "env")]
impl Host {
    async fn sleep(self, ms: impl Into<u32>) {}

    #[asyncify(nmae = "get")]
    unsafe fn fetch(&mut self, (url, len): (u32, u32)) -> &str {
        ""
    }

    fn new() -> Self {
        Host
    }
}

fn main() {
    let _ = Host::IMPORTS;
    let _ = Host::wasm_opt_args();
    takes_imports::<Host>();
}

fn takes_imports<H: asyncify::Imports>() {}
