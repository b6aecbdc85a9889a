use std::path::PathBuf;

#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> PathBuf;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
