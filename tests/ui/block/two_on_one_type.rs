struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn sleep(&self) {}
}

#[asyncify::imports(module = "wasi")]
impl Host {
    async fn poll(&self) {}
}

fn main() {}
