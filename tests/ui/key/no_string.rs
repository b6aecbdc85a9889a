struct Host;

#[asyncify::imports(module = env)]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
