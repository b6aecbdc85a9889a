#[asyncify::exports]
trait App {
    async fn run<P>(&self, pages: P) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
