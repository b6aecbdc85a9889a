struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn log(&self, line: _) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
