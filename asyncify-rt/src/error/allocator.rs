//! Errors of the guest's allocator, which runs on behalf of others.

use super::Error;

impl Error {
    /// Says that `name`, which it names itself, was called as the guest's allocator.
    #[cold]
    #[must_use]
    pub(crate) fn in_allocator(mut self, name: &str) -> Self {
        match self.function() {
            Some(function) if function == name => {
                Self::Allocator { function: String::new(), source: Box::new(self) }
            }
            _ => self,
        }
    }
}
