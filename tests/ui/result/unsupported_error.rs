struct Missing;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn open(&self) -> Result<u32, Missing> {
        Err(Missing)
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
