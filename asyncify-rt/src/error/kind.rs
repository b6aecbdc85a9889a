//! What kind of error one is, and where it happened.

use super::Error;

impl Error {
    #[cold]
    pub(crate) fn out_of_step(reason: String) -> Self {
        Self::StateOutOfStep { function: String::new(), reason, causes: String::new() }
    }

    pub(crate) fn limit(what: &'static str, limit: u64) -> Self {
        Self::Limit { function: String::new(), what, limit }
    }

    /// Whether the guest itself went wrong, not its host.
    pub(crate) fn is_guest_trap(&self) -> bool {
        matches!(
            self,
            Self::Trap { .. }
                | Self::StackOverflow { .. }
                | Self::Deadline { .. }
                | Self::OutOfFuel { .. }
        )
    }

    /// The engine refused what always succeeds on a guest that was linked.
    #[allow(clippy::needless_pass_by_value, reason = "it is the function for `map_err`")]
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::out_of_step(format!("the engine: {error}"))
    }

    /// Whether a host function ended the run, which has no name yet.
    pub(crate) fn is_of_host(&self) -> bool {
        matches!(self, Self::Host { function, .. } if function.is_empty())
    }

    /// Leaves it to the run around this one to name the export.
    #[cold]
    #[must_use]
    pub(crate) fn without_function(mut self) -> Self {
        if let Some(function) = self.function() {
            function.clear();
        }
        self
    }

    /// Names the export that was called, where the error happened too deep down to know it.
    #[cold]
    #[must_use]
    pub(crate) fn in_function(mut self, called: &str) -> Self {
        if let Some(function) = self.function()
            && function.is_empty()
        {
            called.clone_into(function);
        }
        self
    }

    /// Says what may be the matter, where that was not known when it happened.
    pub(crate) fn with_causes(mut self, guess: &str) -> Self {
        if let Self::StateOutOfStep { causes, .. } | Self::FrameNotInstrumented { causes, .. } =
            &mut self
            && causes.is_empty()
        {
            guess.clone_into(causes);
        }
        self
    }

    /// Whether it happened in another run, which has named its function already: of another guest,
    /// or of this one, which is poisoned by it then. It is the host that passes it on.
    pub(crate) fn is_passed_on(&mut self) -> bool {
        self.function().is_some_and(|function| !function.is_empty())
    }

    /// The place for the name of the export that was called.
    pub(super) fn function(&mut self) -> Option<&mut String> {
        match self {
            Self::WindowTooSmall { function, .. }
            | Self::ShadowStackOverflow { function, .. }
            | Self::FrameNotInstrumented { function, .. }
            | Self::MustNotSuspend { function, .. }
            | Self::StateOutOfStep { function, .. }
            | Self::Limit { function, .. }
            | Self::NotAllocated { function, .. }
            | Self::Deadline { function, .. }
            | Self::OutOfFuel { function, .. }
            | Self::Trap { function, .. }
            | Self::StackOverflow { function, .. }
            | Self::Allocator { function, .. }
            | Self::Host { function, .. } => Some(function),
            _ => None,
        }
    }
}
