struct Host;
struct Net;
struct Disk;

#[asyncify::imports(module = "env", part = Disk, parts = [Net, Net])]
impl Host {
    async fn sleep(&self) {}
}

fn main() {}
