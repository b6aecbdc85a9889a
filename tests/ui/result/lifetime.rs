use std::borrow::Cow;

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    fn name<'a>(&'a self) -> Cow<'a, str> {
        Cow::Borrowed("a")
    }
}

fn main() {
    let _ = Host::IMPORTS;
}
