#[asyncify::exports]
trait App<P> {
    async fn run(&self, pages: P) -> u32;
}

fn main() {
    let _ = |_: AppExports| ();
}
