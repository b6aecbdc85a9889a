#[asyncify::exports]
trait App {
    fn run(&self, pages: u32) -> &'static str;
}

fn main() {
    let _ = |app: &AppExports| drop(app.run(1));
}
