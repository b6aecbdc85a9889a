struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    #[asyncify(result = "pointer")]
    async fn name(&self) -> String {
        String::new()
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
