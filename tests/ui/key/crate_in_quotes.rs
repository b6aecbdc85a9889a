struct Host;

#[asyncify::imports(module = "env", crate = "asyncify")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
