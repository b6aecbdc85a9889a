//! A line of those who wait for one thing: first come, first served, and who does not come when it
//! is their turn holds up no one.
//!
//! When the thing can be had, all are woken, since whoever is woken may be one that nobody polls any
//! more. The first takes it. The others ask again, by letting their executor go round, and after
//! a while the first has lost its turn: it is out of the line until it is polled again, and then it
//! has its old place.

use std::collections::BTreeMap;
use std::task::Waker;

/// How often the others ask before the first loses its turn, and how often more for each of them:
/// an executor goes round so often, and a thread that is woken has come.
const PATIENCE: usize = 1_000;
const PATIENCE_EACH: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// By their numbers: the lower, the earlier it came. One that was woken has no waker here.
    standing: BTreeMap<u64, Option<Waker>>,
    /// How often others than the first have asked since all were woken.
    asked: usize,
}

impl Line {
    /// Somebody waits, and is woken by `waker`. What that replaces is for the caller to drop: to
    /// drop a waker may drop a call.
    #[must_use]
    pub(crate) fn stand(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        self.standing.insert(number, Some(waker)).flatten()
    }

    /// Whether it is one's turn, now that the thing can be had. Another may have lost it by that,
    /// and is for the caller to wake.
    #[must_use]
    pub(crate) fn ask(&mut self, number: u64) -> (bool, Option<Waker>) {
        let mut lost = None;
        if !self.is_first(number) {
            self.asked += 1;
            if self.asked > PATIENCE + PATIENCE_EACH * self.standing.len() {
                self.asked = 0;
                lost = self.standing.pop_first().and_then(|(_, waker)| waker);
            }
        }
        (self.is_first(number), lost)
    }

    /// Whether nobody in the line came earlier.
    pub(crate) fn is_first(&self, number: u64) -> bool {
        self.standing.first_key_value().is_some_and(|(first, _)| *first == number)
    }

    /// Somebody stands here no more. Its waker is for the caller to drop.
    #[must_use]
    pub(crate) fn leave(&mut self, number: u64) -> Option<Waker> {
        self.standing.remove(&number).flatten()
    }

    /// Says that the thing can be had: whom the caller is to wake, the first one first.
    #[must_use]
    pub(crate) fn call(&mut self) -> Vec<Waker> {
        self.asked = 0;
        self.standing.values_mut().filter_map(Option::take).collect()
    }
}
