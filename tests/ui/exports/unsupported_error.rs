#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> Result<u32, i32>;
    fn version(&self) -> Result<u32, String>;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
