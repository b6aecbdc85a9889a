#![allow(unused_variables)]

#[asyncify::imports(module = "env")]
async fn sleep(ms: u32) {}

fn main() {
    drop(sleep(1));
}
