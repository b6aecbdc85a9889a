struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(skip, name = "sleep")]
    async fn sleep_ms(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
