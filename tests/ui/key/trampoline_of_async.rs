struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(trampoline)]
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
