//! What waits in an import, whatever its type is.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::Val;

/// An import whose future is ready, or that is to be answered without it.
pub(crate) struct Resuming {
    pub(crate) pending: Suspended,
    /// The answer to give instead of the future's.
    pub(crate) instead: Option<Box<[Val]>>,
}

/// An import that waits, in one allocation with its future.
pub(crate) type Suspended = Pin<Box<dyn Pending>>;

/// What waits in an import.
///
/// The import that made it takes it back by its type when the guest has been rewound into it.
pub(crate) trait Pending: Send + 'static {
    /// Polls the import's future and keeps its answer.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// Drops the future.
    fn abandon(self: Pin<&mut Self>);
    /// The import, as module and name.
    fn id(&self) -> (&str, &str);
    /// Puts itself into `place` if that is an `Option<Pin<Box<Self>>>`.
    fn give(self: Pin<Box<Self>>, place: &mut dyn Any);
    /// The import, as `module.name`.
    fn import(&self) -> String {
        let (module, name) = self.id();
        format!("{module}.{name}")
    }
}
