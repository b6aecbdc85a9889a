struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(&'static self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
