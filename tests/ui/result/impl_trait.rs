struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn name(&self) -> impl Into<String> + use<> {
        "a"
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
