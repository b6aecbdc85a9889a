struct Host;

#[asyncify::imports()]
impl Host {
    async fn sleep(&self) {}

    async fn wake(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
