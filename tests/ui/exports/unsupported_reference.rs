use std::path::Path;

#[asyncify::exports]
trait App {
    async fn open(&self, path: &Path) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.open(Path::new("")));
}
