struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait<N: Into<u32>>(&self, ms: N) {
        let _: u32 = ms.into();
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
