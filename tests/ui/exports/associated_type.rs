#[asyncify::exports]
trait App {
    type Pages;

    async fn run(&self, pages: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
