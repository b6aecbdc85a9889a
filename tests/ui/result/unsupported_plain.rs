struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
