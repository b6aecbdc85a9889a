#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> Self;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
