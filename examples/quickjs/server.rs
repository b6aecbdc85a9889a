//! Pages on loopback, for scripts that fetch without a network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::oneshot;

/// Who waits for another at which place.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

/// Serves the pages, and says where.
pub(crate) async fn start() -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let pages = Router::new()
        .route("/page/{number}", get(page))
        .route("/words", get(words))
        .route("/meet/{place}", get(meet))
        .with_state(Waiting::default());
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

/// Answers two who come to the same place when both are there.
async fn meet(State(waiting): State<Waiting>, Path(place): Path<String>) -> &'static str {
    let other = {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.remove(&place) {
            Some(first) => {
                // Whoever has left is met by nobody.
                let _ = first.send(());
                None
            }
            None => {
                let (first, second) = oneshot::channel();
                waiting.insert(place, first);
                Some(second)
            }
        }
    };
    if let Some(second) = other {
        let _ = second.await;
    }
    "met"
}
