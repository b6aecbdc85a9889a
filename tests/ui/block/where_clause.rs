struct Host;

#[asyncify::imports(module = "env")]
impl Host
where
    u32: Copy,
{
    async fn sleep(&self) {}
}

fn main() {
    let _ = Host::IMPORTS;
}
