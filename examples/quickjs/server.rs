//! Pages on loopback, for scripts that fetch without a network.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;

/// Serves the pages, and says where.
pub(crate) async fn start() -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let pages = Router::new().route("/page/{number}", get(page)).route("/words", get(words));
    tokio::spawn(async move { axum::serve(listener, pages).await });
    Ok(format!("http://{address}"))
}

async fn page(Path(number): Path<String>) -> Result<String, StatusCode> {
    // Slow enough that whoever asks must wait.
    tokio::time::sleep(Duration::from_millis(5)).await;
    match number.parse::<u32>() {
        Ok(number) => Ok(format!("page {number}")),
        Err(_) => Err(StatusCode::NOT_FOUND),
    }
}

async fn words() -> &'static str {
    "the quick brown fox jumps over the lazy dog"
}
