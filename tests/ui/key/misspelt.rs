struct Host;

#[asyncify::imports(modul = "env")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
