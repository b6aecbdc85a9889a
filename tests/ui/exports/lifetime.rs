#[asyncify::exports]
trait App {
    async fn run<'a>(&self, path: &'a str) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run("/"));
}
