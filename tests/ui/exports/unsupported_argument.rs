use std::path::PathBuf;

#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32) -> u32;

    async fn open(&self, path: PathBuf, mode: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| {
        drop(app.run(1));
        drop(app.open(PathBuf::new(), 1));
    };
}
