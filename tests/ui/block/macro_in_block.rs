macro_rules! sleep {
    () => {
        async fn sleep(&self) {}
    };
}

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    sleep!();
}

fn main() {
    drop(Host.sleep());
}
