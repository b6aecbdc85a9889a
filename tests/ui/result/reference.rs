struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn name(&self) -> &str {
        "a"
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
