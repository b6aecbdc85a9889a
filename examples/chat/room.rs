//! Who is there, and the guest's imports: a line from a visitor, a line to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use asyncify::{Errno, OutBuf};
use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// How many lines wait for a visitor who does not read.
const LINES: usize = 16;

#[derive(Default)]
pub(crate) struct Room {
    visitors: Mutex<Visitors>,
}

#[derive(Default)]
struct Visitors {
    last: u32,
    present: HashMap<u32, Arc<Visitor>>,
}

struct Visitor {
    said: AsyncMutex<Said>,
    told: mpsc::Sender<Vec<u8>>,
}

/// What a visitor sends, cut into lines.
struct Said {
    body: BodyDataStream,
    bytes: Vec<u8>,
}

impl Room {
    /// A number for a new visitor, and the lines that are for it.
    pub(crate) fn enter(&self, said: Body) -> (u32, mpsc::Receiver<Vec<u8>>) {
        let (told, lines) = mpsc::channel(LINES);
        let said = AsyncMutex::new(Said { body: said.into_data_stream(), bytes: Vec::new() });
        let mut visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        visitors.last += 1;
        let id = visitors.last;
        visitors.present.insert(id, Arc::new(Visitor { said, told }));
        (id, lines)
    }

    pub(crate) fn leave(&self, id: u32) {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner).present.remove(&id);
    }

    fn visitor(&self, id: u32) -> Option<Arc<Visitor>> {
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        visitors.present.get(&id).cloned()
    }
}

#[asyncify::imports(module = "env")]
impl Room {
    /// Blocks until the visitor says something: the line, with its end, and how long it is. 0 when
    /// it has left. A line that is longer than the guest's buffer comes in several parts.
    async fn receive(&self, id: u32, line: &mut OutBuf) -> Result<u32, Errno> {
        let Some(visitor) = self.visitor(id) else { return Ok(0) };
        let mut said = visitor.said.lock().await;
        tokio::select! {
            bytes = said.line(line.capacity()) => Ok(line.put(bytes)?),
            () = visitor.told.closed() => Ok(0),
        }
    }

    /// Blocks until there is room for the line on its way to the visitor.
    async fn send(&self, id: u32, line: &[u8]) {
        if let Some(visitor) = self.visitor(id) {
            // A visitor who has left is told nothing more; `receive` says so.
            let _ = visitor.told.send(line.to_vec()).await;
        }
    }
}

impl Said {
    /// The next line, or as much of it as `room` takes; empty at the end.
    async fn line(&mut self, room: usize) -> Vec<u8> {
        let is_whole = |bytes: &[u8]| bytes.len() >= room || bytes.contains(&b'\n');
        while !is_whole(&self.bytes) {
            match self.body.next().await {
                Some(Ok(bytes)) => self.bytes.extend_from_slice(&bytes),
                Some(Err(_)) | None => break,
            }
        }
        let end = self.bytes.iter().position(|byte| *byte == b'\n').map_or(room, |end| end + 1);
        self.bytes.drain(..end.min(room).min(self.bytes.len())).collect()
    }
}
