struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn new() -> Self {
        Host
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
