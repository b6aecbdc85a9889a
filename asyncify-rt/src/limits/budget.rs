//! What each turn of a guest may use up: time, by the engine's epoch, and fuel.

use wasmtime::{Store, StoreContextMut, Trap};

use super::deadline;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// Ticks of the engine's epoch.
    pub(crate) ticks: Option<u64>,
    /// Units of the engine's fuel.
    pub(crate) fuel: Option<u64>,
}

impl Budget {
    /// An error if the engine does not count what there is a budget of: it would do nothing.
    pub(crate) fn check<T: 'static>(self, store: &Store<T>) -> Result<()> {
        if self.ticks.is_some() {
            deadline::check_engine(store.engine())?;
        }
        if self.fuel.is_some() && store.get_fuel().is_err() {
            return Err(Error::Config(
                "the engine does not count fuel, so a budget of it would do nothing; turn it on with `Config::consume_fuel(true)`"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Gives all of it to the functions that run before there is a guest.
    pub(crate) fn open<T: 'static>(self, store: &mut Store<T>) {
        // Without a deadline too: an engine that counts epochs would end the guest at once.
        store.set_epoch_deadline(self.ticks.unwrap_or(deadline::NEVER));
        if let Some(fuel) = self.fuel {
            // The engine counts it, as `check` has seen.
            let _ = store.set_fuel(fuel);
        }
    }

    /// Gives all of it to what runs next.
    pub(crate) fn begin<T: 'static>(self, store: &mut StoreContextMut<'_, T>) {
        if let Some(ticks) = self.ticks {
            store.set_epoch_deadline(ticks);
        }
        if let Some(fuel) = self.fuel {
            // The engine counts it, as `check` has seen.
            let _ = store.set_fuel(fuel);
        }
    }

    /// This, if a turn has to be given anything.
    pub(crate) fn if_any(self) -> Option<Self> {
        (self.ticks.is_some() || self.fuel.is_some()).then_some(self)
    }

    /// The error of a run of `function` that ended with `trap`, if it had used up what it had.
    pub(crate) fn spent(self, trap: Trap, function: String) -> Option<Error> {
        match trap {
            Trap::Interrupt => {
                Some(Error::Deadline { function, ticks: self.ticks.unwrap_or_default() })
            }
            Trap::OutOfFuel => Some(Error::OutOfFuel { function, fuel: self.fuel }),
            _ => None,
        }
    }
}
