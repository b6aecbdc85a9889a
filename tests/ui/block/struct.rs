#[asyncify::imports(module = "env")]
struct Host;

impl Host {
    async fn sleep(&self) {}
}

fn main() {
    drop(Host.sleep());
    takes_imports::<Host>();
}

fn takes_imports<H: asyncify::Imports>() {}
