struct App;

#[asyncify::exports]
impl App {
    async fn run(&self, pages: u32) -> u32 {
        pages
    }
}

fn main() {
    drop(App.run(1));
}
