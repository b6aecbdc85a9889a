struct Host;

#[asyncify::imports(module = "env", name = "sleep")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
