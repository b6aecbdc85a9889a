macro_rules! run {
    () => {
        async fn run(&self, pages: u32) -> u32;
    };
}

#[asyncify::exports]
trait App {
    run!();
}

fn main() {
    let _ = |_: AppExports| ();
}
