#[asyncify::exports]
trait App {
    unsafe fn run(&self, pages: u32) -> u32;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
