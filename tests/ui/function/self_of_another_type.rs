use std::sync::Arc;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn wait(self: Arc<Self>) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
