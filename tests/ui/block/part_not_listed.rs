struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn sleep(&self) {}
}

struct Net;

#[asyncify::imports(module = "net", part = Net)]
impl Host {
    async fn connect(&self) {}
}

fn main() {}
