#[asyncify::exports]
trait App {
    async fn run(&self, pages: u32);

    async fn read(&self, buffer: &mut [u8]) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
