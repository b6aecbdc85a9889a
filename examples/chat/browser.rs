//! The same visit from a browser, which cannot send a body while it reads one: the lines it is
//! told are one long response, and each line it says is a request of its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use crate::Server;

/// How many lines of a visitor wait for the guest.
const LINES: usize = 16;

/// The visitors who are here with a browser, by the key that theirs alone was told.
#[derive(Default)]
pub(crate) struct Speakers(Mutex<HashMap<String, mpsc::Sender<String>>>);

impl Speakers {
    fn here(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A browser's place. It is free again when the response is dropped.
struct Place {
    server: Arc<Server>,
    key: String,
    told: mpsc::Receiver<Vec<u8>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.speakers.here().remove(&self.key);
    }
}

pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

/// A visit: first the key to speak with, then each line that the visitor is told.
pub(crate) async fn lines(
    State(server): State<Arc<Server>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (say, said) = mpsc::channel(LINES);
    let said = stream::unfold(said, |mut said: mpsc::Receiver<String>| async {
        let line = said.recv().await?;
        Some((Ok::<_, Infallible>(line), said))
    });
    let told = server.begin(Body::from_stream(said));
    // Each state has random keys of its own.
    let key = format!("{:016x}", RandomState::new().hash_one(()));
    server.speakers.here().insert(key.clone(), say);
    let first = stream::iter([Ok(Event::default().event("key").data(&key))]);
    let place = Place { server, key, told };
    let lines = stream::unfold(place, |mut place| async {
        let line = place.told.recv().await?;
        let line = String::from_utf8_lossy(&line);
        Some((Ok(Event::default().data(line.trim_end())), place))
    });
    Sse::new(first.chain(lines)).keep_alive(KeepAlive::default())
}

/// One line, or an empty one that asks for news.
pub(crate) async fn say(
    State(server): State<Arc<Server>>,
    Path(key): Path<String>,
    line: String,
) -> StatusCode {
    let speaker = server.speakers.here().get(&key).cloned();
    let Some(speaker) = speaker else { return StatusCode::GONE };
    match speaker.send(line + "\n").await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::GONE,
    }
}
