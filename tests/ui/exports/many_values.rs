#[asyncify::exports]
trait App {
    async fn run(
        &self,
        p1: &str,
        p2: &str,
        p3: &str,
        p4: &str,
        p5: &str,
        p6: &str,
        p7: &str,
        p8: &str,
        p9: &str,
    ) -> u32;
}

fn main() {
    let _ = |_: &AppExports| ();
}
