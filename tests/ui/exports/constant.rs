#[asyncify::exports]
trait App {
    const PAGES: u32;

    async fn run(&self, pages: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
