struct Host;
struct Net;

#[asyncify::imports(module = "env", parts = [Net])]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
