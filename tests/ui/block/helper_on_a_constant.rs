struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(name = "SIZE")]
    const SIZE: u32 = 1;

    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
