//! A C guest fetches pages over HTTP as if nothing else went on: two calls of it run at once, in
//! one instance, on one thread.
//!
//! `cargo run --example quickstart`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncify::wasmtime::Engine;
use asyncify::{Errno, Guest, Module, OutBuf};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;

struct Host {
    client: reqwest::Client,
    server: String,
    started: Instant,
    /// Fetches that are under way.
    in_flight: Arc<AtomicUsize>,
}

#[asyncify::imports(module = "env")]
impl Host {
    /// The guest blocks here; the thread does not.
    async fn sleep_ms(&self, ms: u32) {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
    }

    /// Puts the body of the page at `url` into `out`: how many bytes it has, or why there is none.
    async fn fetch(&self, url: &str, out: &mut OutBuf) -> Result<u32, Errno> {
        let others = self.in_flight.fetch_add(1, Ordering::Relaxed);
        println!("{:>6.1?}  GET {url}, beside {others} other(s)", self.started.elapsed());
        let body = self.get(url).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let body = body.map_err(|_| Errno::IO)?;
        // All of it, or the size that it needs.
        Ok(out.put(body)?)
    }

    /// Not async: a plain host call.
    fn log(&self, line: &str) {
        println!("{:>6.1?}  {line}", self.started.elapsed());
    }
}

impl Host {
    async fn get(&self, url: &str) -> reqwest::Result<Vec<u8>> {
        let page = self.client.get(format!("{}{url}", self.server)).send().await?;
        Ok(page.error_for_status()?.bytes().await?.to_vec())
    }
}

#[asyncify::exports]
trait App {
    /// Fetches this many pages, and digests them.
    async fn run(&self, pages: u32) -> u32;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = serve().await?;
    let host = Host {
        client: reqwest::Client::new(),
        server,
        started: Instant::now(),
        in_flight: Arc::default(),
    };

    let engine = Engine::default();
    let guest = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/quickstart.wasm");
    let module = Module::from_file(&engine, guest)?;
    let guest = Guest::builder(&module).imports(host).instantiate().await?;
    let app: AppExports = guest.exports()?;

    let (five, three) = tokio::join!(app.run(5), app.run(3));
    println!("five pages have the digest {:08x}, three {:08x}", five?, three?);

    let stats = guest.stats().await?;
    println!(
        "one instance held {} suspended calls at once, at most {} bytes of frames each",
        stats.most_parked_calls, stats.most_window_bytes
    );
    Ok(())
}

/// Serves pages on loopback, each after a while; the address to ask.
async fn serve() -> std::io::Result<String> {
    async fn page(Path(number): Path<u64>) -> String {
        tokio::time::sleep(Duration::from_millis(40)).await;
        format!("This is page {number}. ").repeat(5)
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let pages = Router::new().route("/page/{number}", get(page));
    tokio::spawn(async move { axum::serve(listener, pages).await });
    Ok(format!("http://{address}"))
}
