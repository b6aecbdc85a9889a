#![allow(unused_variables)]

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn many(
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
    ) {
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
