#[asyncify::exports]
trait App {
    async fn run(pages: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
