use asyncify::Errno;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn now(&self) -> Result<f64, Errno> {
        Ok(0.0)
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
