use std::future::ready;
use std::rc::Rc;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn count(&self) -> u32 {
        let count = Rc::new(1);
        ready(()).await;
        *count
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
