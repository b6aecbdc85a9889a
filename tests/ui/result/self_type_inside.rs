struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn new() -> Result<Self, u32> {
        Ok(Host)
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
