struct Host<'a>(&'a str);

#[asyncify::imports(module = "env")]
impl<'a> Host<'a> {
    fn len(&self) -> u32 {
        0
    }
}

fn main() {
    let _ = Host("").len();
}
