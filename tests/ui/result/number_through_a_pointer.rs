struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(result = "out")]
    async fn count(&self) -> u32 {
        0
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
