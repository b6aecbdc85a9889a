#[asyncify::imports(crate = renamed::asyncify)]
impl host::Host<File> {
    #[asyncify(module = "a", name = "b", result = "out")]
    async fn title(&self) -> String {
        String::new()
    }

    #[cfg(unix)]
    #[asyncify(module = "a")]
    fn r#type(&self, _: [u8; 4]) {}

    #[cfg(windows)]
    #[asyncify(module = "a")]
    fn r#type(&self, _: [u8; 8]) {}
}
