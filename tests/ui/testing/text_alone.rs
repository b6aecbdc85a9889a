use asyncify::testing::Mock;

async fn test(mock: Mock) {
    let _: u32 = mock.call("env", "log", "a line").await.unwrap();
}

fn main() {
    let _ = test;
}
