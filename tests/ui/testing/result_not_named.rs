use asyncify::testing::Mock;

async fn test(mock: Mock) {
    mock.call("env", "open", 1).await.unwrap();
}

fn main() {
    let _ = test;
}
