#[asyncify::imports(modul = "env")]
impl Host {
    fn owned(self) {}

    #[asyncify(nam = "b")]
    fn generic<T>(&self, value: T) -> Self {}
}
