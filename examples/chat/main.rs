//! A chat over HTTP in which every connection is one call, suspended in one shared guest.
//!
//! ```text
//! cargo run --release --example chat                    serves http://127.0.0.1:3000/
//! cargo run --release --example chat -- 3001            at another port
//! cargo run --release --example chat -- visitors 5000   opens so many connections at once
//! ```
//!
//! Open the address in a browser, or talk to it with curl: `curl -sNT. http://127.0.0.1:3000/`.
//! With curl, a visitor sends lines as the body of one long request and reads lines as the body of
//! its response. What the others said comes with one's own next line, or with an empty one; the
//! browser's page sends an empty one each second. The guest is blocking C: `session` in
//! `guests/src/chat.c` is a loop of `receive` and `send`, and what a visitor has seen is a local
//! variable there.
//!
//! With visitors, each connection takes two of the process's file descriptors, the server's end
//! and the client's. The example raises its own limit as far as it may; `ulimit -Hn` says how far.

mod browser;
mod room;
mod visitors;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;

use asyncify::wasmtime::Engine;
use asyncify::{Guest, Module};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use futures::stream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use browser::Speakers;
use room::Room;

const PORT: u16 = 3000;
const USAGE: &str = "usage: chat [PORT], or chat visitors COUNT";

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
    speakers: Speakers,
}

/// What to do, as the command line says.
enum Task {
    Serve { port: u16 },
    Visit { visitors: usize },
}

impl Task {
    fn of(arguments: &[String]) -> Option<Self> {
        match arguments {
            [] => Some(Self::Serve { port: PORT }),
            [port] => Some(Self::Serve { port: port.parse().ok()? }),
            [word, count] if word == "visitors" => {
                Some(Self::Visit { visitors: count.parse().ok()? })
            }
            _ => None,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(task) = Task::of(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(task).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(task: Task) -> Result<(), Error> {
    let room = Arc::new(Room::default());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/chat.wasm");
    let module = Module::from_file(&Engine::default(), path)?;
    // A visitor who waits keeps its part of the stack: as much as the guest's own stack has.
    let guest = Guest::builder(&module)
        .shared_imports(Arc::clone(&room))
        .region_size(4096)
        .instantiate()
        .await?;
    let server = Server { room, chat: guest.exports()?, speakers: Speakers::default() };
    let server = Arc::new(server);
    let pages = Router::new()
        // To curl, `-T` is a PUT.
        .route("/", get(browser::page).post(visit).put(visit))
        .route("/lines", get(browser::lines))
        .route("/say/{key}", post(browser::say))
        .with_state(Arc::clone(&server));

    let listener = listen(match task {
        Task::Serve { port } => port,
        Task::Visit { .. } => 0,
    })?;
    let address = listener.local_addr()?;
    println!("serving http://{address}/");
    let serving = tokio::spawn(async move { axum::serve(listener, pages).await });
    match task {
        Task::Serve { .. } => Ok(serving.await??),
        Task::Visit { visitors } => visitors::run(address, visitors, &guest, &server.chat).await,
    }
}

/// A socket that lets many connect at the same moment.
fn listen(port: u16) -> Result<TcpListener, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    let bound = socket.bind(([127, 0, 0, 1], port).into()).and_then(|()| socket.listen(8192));
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another program listens at port {port}; end it, or name another port: `cargo run --release --example chat -- {}`",
            port.wrapping_add(1)
        )
        .into(),
        _ => error.into(),
    })
}

impl Server {
    /// A visit begins: `said` is what the visitor sends. What comes back are the lines for it.
    fn begin(self: &Arc<Self>, said: Body) -> mpsc::Receiver<Vec<u8>> {
        let (id, told) = self.room.enter(said);
        let server = Arc::clone(self);
        tokio::spawn(async move {
            // The whole of a visit. Between two lines it is a few hundred bytes, parked.
            let visit = server.chat.session(id).await;
            server.room.leave(id);
            if let Err(error) = visit {
                eprintln!("visitor {id}: {error}");
            }
        });
        told
    }
}

/// A connection: the request's body is what the visitor says, the response's what it is told.
async fn visit(State(server): State<Arc<Server>>, said: Body) -> Body {
    let told = server.begin(said);
    Body::from_stream(stream::unfold(told, |mut told| async {
        let line = told.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), told))
    }))
}
