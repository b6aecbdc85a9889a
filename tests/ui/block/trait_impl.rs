struct Host;

trait Sleep {
    async fn sleep(&self);
}

#[asyncify::imports(module = "env")]
impl Sleep for Host {
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
