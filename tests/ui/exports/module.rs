#[asyncify::exports(module = "env")]
trait App {
    async fn run(&self, pages: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
