#[asyncify::exports]
struct App;

fn main() {
    let _ = App;
}
