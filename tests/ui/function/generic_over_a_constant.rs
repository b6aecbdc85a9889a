struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait<const N: usize>(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
