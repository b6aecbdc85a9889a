#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> u32;

    #[asyncify(name = "run")]
    async fn run_all(&self) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
