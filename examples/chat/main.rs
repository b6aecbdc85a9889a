//! A chat over HTTP in which every connection is one call, suspended in one shared guest.
//!
//! ```text
//! cargo run --release --example chat                    serves http://127.0.0.1:3000/
//! cargo run --release --example chat -- visitors 5000   opens so many connections at once
//! ```
//!
//! A visitor sends lines as the body of one long request and reads lines as the body of its
//! response, with curl for example: `curl -sNT. http://127.0.0.1:3000/`. The guest is blocking C:
//! `session` in `guests/src/chat.c` is a loop of `receive` and `send`, and what a visitor has seen
//! is a local variable there.
//!
//! With visitors, each connection takes two of the process's file descriptors, the server's end
//! and the client's. The example raises its own limit as far as it may; `ulimit -Hn` says how far.

mod room;
mod visitors;

use std::sync::Arc;

use asyncify::wasmtime::Engine;
use asyncify::{Guest, Module};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use futures::stream;
use tokio::net::{TcpListener, TcpSocket};

use room::Room;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[asyncify::exports]
trait Chat {
    /// Serves a visitor until it leaves.
    async fn session(&self, id: u32);
    /// Lines that were said.
    fn message_count(&self) -> u32;
    /// Visitors who are here.
    fn visitor_count(&self) -> u32;
}

struct Server {
    room: Arc<Room>,
    chat: ChatExports,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let visitors = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => None,
        [word, count] if word == "visitors" => Some(count.parse()?),
        _ => return Err("usage: chat [visitors COUNT]".into()),
    };
    let room = Arc::new(Room::default());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/chat.wasm");
    let module = Module::from_file(&Engine::default(), path)?;
    // A visitor who waits keeps its part of the stack: as much as the guest's own stack has.
    let guest = Guest::builder(&module)
        .shared_imports(Arc::clone(&room))
        .region_size(4096)
        .instantiate()
        .await?;
    let server = Arc::new(Server { room, chat: guest.exports()? });
    let pages = Router::new().route("/", post(visit)).with_state(Arc::clone(&server));

    let port = if visitors.is_some() { 0 } else { 3000 };
    let listener = listen(port)?;
    let address = listener.local_addr()?;
    println!("serving http://{address}/");
    let serving = tokio::spawn(async move { axum::serve(listener, pages).await });
    match visitors {
        None => Ok(serving.await??),
        Some(count) => visitors::run(address, count, &guest, &server.chat).await,
    }
}

/// A socket that lets many connect at the same moment.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(8192)
}

/// A connection: the request's body is what the visitor says, the response's what it is told.
async fn visit(State(server): State<Arc<Server>>, said: Body) -> Body {
    let (id, told) = server.room.enter(said);
    tokio::spawn(async move {
        // The whole of a visit. Between two lines it is a few hundred bytes, parked.
        let visit = server.chat.session(id).await;
        server.room.leave(id);
        if let Err(error) = visit {
            eprintln!("visitor {id}: {error}");
        }
    });
    Body::from_stream(stream::unfold(told, |mut told| async {
        let line = told.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), told))
    }))
}
