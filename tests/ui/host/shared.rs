use std::sync::Arc;

use asyncify::{Guest, Module};

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = |module: &Module| drop(Guest::builder(module).imports(Arc::new(Host)));
}
