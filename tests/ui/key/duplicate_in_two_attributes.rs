struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(name = "sleep")]
    #[asyncify(name = "wait")]
    async fn sleep_ms(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
