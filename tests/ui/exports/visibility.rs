#[asyncify::exports]
pub trait App {
    /// Works.
    pub async fn run(&self, pages: u32) -> u32;
}

fn main() {}
