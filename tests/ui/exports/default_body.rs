#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> u32 {
        pages
    }
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
