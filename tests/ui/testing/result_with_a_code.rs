use asyncify::Errno;
use asyncify::testing::Mock;

async fn test(mock: Mock) {
    let _: Result<u32, Errno> = mock.call("env", "open", 1).await.unwrap();
}

fn main() {
    let _ = test;
}
