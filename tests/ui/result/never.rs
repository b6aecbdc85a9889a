struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn exit(&self) -> ! {
        loop {}
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
