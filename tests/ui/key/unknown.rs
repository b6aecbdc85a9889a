struct Host;

#[asyncify::imports(module = "env", magic = 1)]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
