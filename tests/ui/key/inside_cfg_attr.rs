struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[cfg_attr(all(), asyncify(name = "sleep"))]
    async fn sleep_ms(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
