#[asyncify::imports(module = "files", parts = [net::Net, Clock])]
impl Host {
    async fn open(&self) -> u32 {
        3
    }
}

#[asyncify::imports(module = "net", part = net::Net)]
impl Host {
    fn close(&self) {}
}

#[asyncify::imports(part = Clock, parts = [Net, Net])]
impl Host {}
