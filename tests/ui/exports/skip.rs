#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> u32;

    #[asyncify(skip)]
    async fn other(&self) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
