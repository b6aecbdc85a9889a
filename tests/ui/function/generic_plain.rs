struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn count<N: Into<u32>>(&self, ms: N) {
        let _: u32 = ms.into();
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
