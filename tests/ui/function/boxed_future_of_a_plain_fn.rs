use std::pin::Pin;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn wait(&self) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async { 42 })
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
