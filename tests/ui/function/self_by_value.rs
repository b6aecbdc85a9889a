struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
