//! What `tracing` is told of a call, with the feature of that name: a span for the call, in which
//! its import's future is polled too, and an event for each time it parks and resumes. Without
//! the feature, a [`CallSpan`] is nothing and does nothing.

#[cfg(feature = "tracing")]
pub(crate) use on::CallSpan;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::CallSpan;

#[cfg(feature = "tracing")]
mod on {
    use std::time::Instant;

    use tracing::Span;
    use tracing::span::EnteredSpan;

    use crate::error::Text;
    use crate::parts::parked::{Key, Record};
    use crate::store::{Pending, Runtime};

    const TARGET: &str = "asyncify";

    pub(crate) struct CallSpan {
        span: Span,
        /// When the call parked last, if somebody wants to know.
        parked: Option<Instant>,
    }

    impl CallSpan {
        pub(crate) fn new(function: &str) -> Self {
            let span = tracing::debug_span!(
                target: TARGET,
                "call",
                function = Text(function).to_string()
            );
            Self { span, parked: None }
        }

        /// Makes it the thread's current span, for as long as the answer lives.
        pub(crate) fn enter(&self) -> EnteredSpan {
            self.span.clone().entered()
        }

        pub(crate) fn parked(&mut self, rt: &Runtime, key: Key, pending: &dyn Pending) {
            if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
                self.parked = Some(Instant::now());
                let (import, bytes) = (import(pending), bytes(rt, key));
                tracing::debug!(target: TARGET, import, bytes, "parked");
            }
        }

        /// Is told before the guest goes on.
        pub(crate) fn resumed(&mut self, rt: &Runtime, key: Key, pending: &dyn Pending) {
            if let Some(parked) = self.parked.take() {
                let (import, bytes) = (import(pending), bytes(rt, key));
                let waited = parked.elapsed();
                tracing::debug!(target: TARGET, import, bytes, ?waited, "resumed");
            }
        }
    }

    fn import(pending: &dyn Pending) -> String {
        Text(pending.import()).to_string()
    }

    /// What a parked call holds on the host.
    fn bytes(rt: &Runtime, key: Key) -> u64 {
        let record = rt.parked.get(key);
        record.map_or(0, Record::held)
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use crate::parts::parked::Key;
    use crate::store::{Pending, Runtime};

    pub(crate) struct CallSpan;

    /// No span is current.
    pub(crate) struct Entered;

    #[allow(clippy::unused_self, reason = "the same calls as with the feature")]
    impl CallSpan {
        #[inline]
        pub(crate) fn new(_function: &str) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }

        #[inline]
        pub(crate) fn parked(&mut self, _: &Runtime, _: Key, _: &dyn Pending) {}

        #[inline]
        pub(crate) fn resumed(&mut self, _: &Runtime, _: Key, _: &dyn Pending) {}
    }
}
