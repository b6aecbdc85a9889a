struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify]
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
