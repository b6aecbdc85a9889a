#[asyncify::exports(module = "env")]
trait App {
    async fn run(&mut self, pages: &mut u32) -> u32;
    fn version(&self) -> u32 {
        1
    }
}
