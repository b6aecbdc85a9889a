struct Host;

#[asyncify::imports(module = "env", module = "wasi")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
