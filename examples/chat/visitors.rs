//! Many visitors at once, over real connections: all are welcomed, all are told what was said.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncify::Guest;
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::{ChatExports, Error};

/// How many visitors say something. The guest keeps the last 16 lines.
const SPEAKERS: usize = 10;
/// Connections that are being made at one time; all of them stay open.
const CONNECTING: usize = 512;

pub(crate) async fn run(
    address: SocketAddr,
    count: usize,
    guest: &Guest,
    chat: &ChatExports,
) -> Result<(), Error> {
    // Two ends of each connection, and what the process has open besides.
    let wanted = 2 * u64::try_from(count)? + 100;
    let limit = rlimit::increase_nofile_limit(wanted)?;
    if limit < wanted {
        return Err(format!("{count} visitors need {wanted} files, and {limit} are allowed").into());
    }

    let start = Instant::now();
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    let enter = (0..count).map(|_| {
        let connecting = Arc::clone(&connecting);
        tokio::spawn(async move {
            let _turn = connecting.acquire().await?;
            let mut visitor = Visitor::connect(address).await?;
            visitor.wait_for("welcome, visitor ").await?;
            Ok::<_, Error>(visitor)
        })
    });
    let mut visitors = Vec::with_capacity(count);
    for entered in try_join_all(enter).await? {
        visitors.push(entered?);
    }
    let mut stats = guest.stats().await?;
    // The last ones may have been welcomed just now, and not be waiting for a line yet.
    while stats.parked_calls < count && start.elapsed() < Duration::from_mins(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        stats = guest.stats().await?;
    }
    println!("{count} connections are open, and all are welcomed: {:.1?}", start.elapsed());
    println!(
        "{} calls are suspended in one instance, with {} bytes of frames each",
        stats.parked_calls,
        stats.parked_bytes / u64::try_from(stats.parked_calls.max(1))?
    );
    if chat.visitor_count().await? as usize != count || stats.parked_calls != count {
        return Err("not all of them are there".into());
    }

    // Some say a line each, and then everybody asks for news, which is an empty line.
    let start = Instant::now();
    let lines: Vec<_> = (0..SPEAKERS.min(count)).map(|number| format!("line {number}")).collect();
    for (visitor, line) in visitors.iter_mut().zip(&lines) {
        visitor.say(line).await?;
        visitor.wait_for(line).await?;
    }
    let ask = visitors.into_iter().enumerate().map(|(number, mut visitor)| {
        let lines = lines.clone();
        tokio::spawn(async move {
            visitor.say("").await?;
            // A speaker was told the lines up to its own already.
            for line in lines.iter().skip(if number < lines.len() { number + 1 } else { 0 }) {
                visitor.wait_for(line).await?;
            }
            visitor.leave().await
        })
    });
    for served in try_join_all(ask).await? {
        served?;
    }
    println!("all of them were told all {} lines, and left: {:.1?}", lines.len(), start.elapsed());
    let (said, left) = (chat.message_count().await?, chat.visitor_count().await?);
    match (said as usize == lines.len(), left) {
        (true, 0) => Ok(()),
        _ => Err(format!("{said} lines were said, and {left} visitors are still there").into()),
    }
}

/// A client's end of a connection: one HTTP request, whose body goes on for the whole visit.
struct Visitor {
    stream: TcpStream,
    read: VecDeque<u8>,
}

impl Visitor {
    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let mut stream = TcpStream::connect(address).await?;
        let head =
            format!("POST / HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        Ok(Self { stream, read: VecDeque::new() })
    }

    /// Sends a line, as one chunk of the body.
    async fn say(&mut self, line: &str) -> Result<(), Error> {
        let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        Ok(self.stream.write_all(chunk.as_bytes()).await?)
    }

    /// Reads on until `text` was there.
    async fn wait_for(&mut self, text: &str) -> Result<(), Error> {
        loop {
            let read = self.read.make_contiguous();
            if let Some(at) = read.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.read.drain(..at + text.len());
                return Ok(());
            }
            if !self.fill().await? {
                return Err(format!("the connection was closed before `{text}` came").into());
            }
        }
    }

    /// Ends the request's body, and waits for the end of the response's.
    async fn leave(mut self) -> Result<(), Error> {
        self.stream.write_all(b"0\r\n\r\n").await?;
        self.wait_for("\r\n0\r\n\r\n").await
    }

    async fn fill(&mut self) -> Result<bool, Error> {
        let mut bytes = [0; 1024];
        let count = self.stream.read(&mut bytes).await?;
        self.read.extend(&bytes[..count]);
        Ok(count > 0)
    }
}
