struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(nam = "sleep")]
    async fn sleep_ms(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
