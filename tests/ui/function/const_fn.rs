struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    const fn answer(&self) -> u32 {
        42
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
