#[asyncify::imports(module = "env")]
impl Host {
    /// Reads a page.
    ///
    /// The answer is a count.
    async fn fetch(&self, url: &str, out: &mut OutBuf) -> Result<u32, Errno> {
        out.fill(self.client.get(url).await?)
    }

    fn log(&self, line: &str) {
        println!("{line}");
    }

    fn now() -> u64 {
        0
    }

    /// Works in the guest.
    fn intern<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, text: &str) -> Handle {
        Handle::new(cx, text)
    }

    #[asyncify(trampoline, name = "invoke_vi")]
    fn invoke<T: Send + 'static>(cx: &mut GuestCx<'_, T>, function: u32, arg: i32) -> Result<(), Trap> {
        cx.call_table(function, arg)
    }

    #[asyncify(skip)]
    pub fn new() -> Self {
        Self::default()
    }
}
