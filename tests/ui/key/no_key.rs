struct Host;

#[asyncify::imports("env")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
