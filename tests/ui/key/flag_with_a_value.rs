struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(skip = true)]
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
