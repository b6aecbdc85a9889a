struct Host<S>(S);

#[asyncify::imports(module = "env")]
impl<S: Send + Sync + 'static> Host<S> {
    async fn sleep(&self) {}
}

fn main() {
    drop(Host(0).sleep());
}
