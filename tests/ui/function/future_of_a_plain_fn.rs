struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn wait(&self) -> impl Future<Output = u32> + use<> {
        async { 42 }
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
