struct Host;

impl Host {
    async fn sleep(&self) {}
}

fn main() {
    takes_imports(Host);
    drop(Host.sleep());
}

fn takes_imports(_: impl asyncify::Imports) {}
