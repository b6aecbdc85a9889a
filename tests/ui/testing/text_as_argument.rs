use asyncify::testing::Mock;

async fn test(mock: Mock) {
    let _: u32 = mock.call("env", "log", ("a line", 1)).await.unwrap();
}

fn main() {
    let _ = test;
}
