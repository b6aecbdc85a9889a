use std::cell::Cell;

struct Host {
    count: Cell<u32>,
}

#[asyncify::imports(module = "env")]
impl Host {
    fn count(&self) -> u32 {
        self.count.get()
    }

    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
