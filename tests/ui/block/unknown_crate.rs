struct Host;

#[asyncify::imports(module = "env", crate = nowhere)]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    drop(Host.sleep());
}
