//! What `tracing` is told: a span for each call, an event whenever it parks or resumes.

mod flight;

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use asyncify_rt::StackPolicy;
use flight::{block_on, poll, with_policy};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

impl Notes {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

/// Fields in a row; durations are left out.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "waited" => self.0 += " waited",
            "message" => self.0 = format!("{} {value:?}", self.0),
            name => self.0 = format!("{} {name}={value:?}", self.0),
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "asyncify"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.spans.fetch_add(1, Ordering::Relaxed) + 1;
        let mut line = Line(format!("new {id}: {}", span.metadata().name()));
        span.record(&mut line);
        self.note(line.0);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line("event:".to_owned());
        event.record(&mut line);
        self.note(line.0);
    }

    fn enter(&self, id: &Id) {
        self.note(format!("enter {}", id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        self.note(format!("exit {}", id.into_u64()));
    }
}

#[test]
fn a_call_is_a_span_with_events() {
    let notes = Notes::default();
    tracing::subscriber::with_default(notes.clone(), || {
        let (guest, gates) = with_policy(StackPolicy::Copied);
        let recurse = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
        let mut call = recurse.call((2, 3));
        assert_eq!(notes.take(), [r#"new 1: call function="recurse""#]);
        assert!(poll(&mut call).is_pending());
        let bytes = block_on(guest.stats()).unwrap().parked_bytes;
        let parked = format!(r#"event: parked import="env.wait" bytes={bytes}"#);
        assert_eq!(notes.take(), ["enter 1", &parked, "exit 1"]);
        gates.open_all();
        assert!(poll(&mut call).is_ready());
        let resumed = format!(r#"event: resumed import="env.wait" bytes={bytes} waited"#);
        assert_eq!(notes.take(), ["enter 1", &resumed, "exit 1"]);
        let plain = guest.all_exports().typed::<(u32, u32), (u32,)>("plain_sum").unwrap();
        assert!(block_on(plain.call_plain((2, 3))).is_ok());
        let call = r#"new 2: call function="plain_sum""#;
        assert_eq!(notes.take(), [call, "enter 2", "exit 2"]);
    });
}
