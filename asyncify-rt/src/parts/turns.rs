//! Whose turn it is in a guest whose calls take turns whole: see
//! [`StackPolicy::Exclusive`](crate::StackPolicy::Exclusive).
//!
//! ```text
//! begun     first call      waits in an import, which calls the guest:
//!             second call   the last one runs; it ends before those around it go on
//! lines     for the guest: those who wait for the first call to end
//!           within each call that has begun: those whom its import calls meanwhile
//! ```
//!
//! A call belongs to the line of the call that it is polled within, at each poll anew. It begins
//! when it is the first in there, and nothing has begun within that call. So what has begun are
//! calls within each other, and their frames lie above each other on the guest's one stack.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::line::Line;
use super::nesting::{self, Around};
use super::waker::wake;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// The number that was given last.
    last: u64,
    /// Those who wait until nothing has begun.
    ground: Line,
    /// The calls that have begun, each within the one before it.
    begun: Vec<Begun>,
}

#[derive(Debug)]
struct Begun {
    number: u64,
    /// Those who wait to begin within it.
    line: Line,
    /// Wakes it when what has begun within it has ended, if it waits for that.
    waker: Option<Waker>,
}

/// Not within any call.
const GROUND: u64 = 0;

/// One call's turn: waited for, or begun. It is passed on when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
    /// The call that it was last polled within, while it waits.
    within: u64,
    begun: bool,
}

/// What a call that has locked the guest is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It runs.
    Now,
    /// It is woken.
    Woken,
    /// It asks again when the executor has gone round.
    Asks,
}

impl Begin {
    /// Waits, by `waker`, for what does not begin now.
    pub(crate) fn wait<R>(self, waker: &Waker) -> Poll<R> {
        if self == Self::Asks {
            waker.wake_by_ref();
        }
        Poll::Pending
    }
}

impl Turns {
    /// A call comes: its place is behind those who came before.
    pub(crate) fn enter(self: &Arc<Self>) -> Turn {
        let number = self.open(|inside| {
            inside.last += 1;
            inside.last
        });
        Turn { turns: Arc::clone(self), number, within: GROUND, begun: false }
    }

    /// Forgets the calls that have begun: the guest was poisoned, and none of them goes on.
    pub(crate) fn clear(&self) {
        let woken = self.open(Inside::clear);
        woken.iter().for_each(wake);
    }

    /// A waker is neither woken nor dropped in here: that may drop a call, which has a turn.
    fn open<R>(&self, f: impl FnOnce(&mut Inside) -> R) -> R {
        f(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn {
    /// Says that this call is polled, for as long as that is kept.
    pub(crate) fn around(&self) -> Around {
        Around::enter(self.place(), self.number)
    }

    fn place(&self) -> usize {
        Arc::as_ptr(&self.turns).addr()
    }

    /// Whether the call may lock the guest and [`begin`](Self::begin), or go on if it has begun.
    /// Otherwise `waker` is woken when it may.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let (place, waker) = (self.place(), waker.clone());
        let Self { turns, number, within, begun } = self;
        let (polled, replaced) = turns.open(|inside| {
            if *begun {
                return inside.poll_begun(*number, waker);
            }
            let around = nesting::innermost(place, |around| inside.position(around).is_some());
            let now = around.unwrap_or(GROUND);
            let before = std::mem::replace(within, now);
            let left = inside.line(before).filter(|_| before != now);
            let left = left.and_then(|line| line.leave(*number));
            let polled = if inside.top() == now { Poll::Ready(()) } else { Poll::Pending };
            let replaced = inside.line(now).and_then(|line| line.stand(*number, waker));
            (polled, left.or(replaced))
        });
        drop(replaced);
        polled
    }

    /// Begins, if it is this call's turn. The guest is locked.
    pub(crate) fn begin(&mut self) -> Begin {
        if self.begun {
            return Begin::Now;
        }
        let Self { turns, number, within, begun } = self;
        let (begin, left, lost) = turns.open(|inside| {
            let is_free = inside.top() == *within;
            let Some(line) = inside.line(*within).filter(|_| is_free) else {
                return (Begin::Woken, None, None);
            };
            match line.ask(*number) {
                (false, lost) => (Begin::Asks, None, lost),
                (true, lost) => {
                    let left = line.leave(*number);
                    let (line, waker) = (Line::default(), None);
                    inside.begun.push(Begun { number: *number, line, waker });
                    *begun = true;
                    (Begin::Now, left, lost)
                }
            }
        });
        drop(left);
        lost.iter().for_each(wake);
        begin
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (woken, left) = self.turns.open(|inside| {
            if self.begun {
                (inside.end(self.number), None)
            } else {
                inside.leave(self.within, self.number)
            }
        });
        drop(left);
        woken.iter().for_each(wake);
    }
}

impl Inside {
    /// The call that may run.
    fn top(&self) -> u64 {
        self.begun.last().map_or(GROUND, |begun| begun.number)
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.begun.iter().position(|begun| begun.number == number)
    }

    /// Those who wait within a call, if that has not ended.
    fn line(&mut self, within: u64) -> Option<&mut Line> {
        if within == GROUND {
            return Some(&mut self.ground);
        }
        self.begun.iter_mut().find(|begun| begun.number == within).map(|begun| &mut begun.line)
    }

    /// Whether a call that has begun may go on: nothing has begun within it. If the guest was
    /// poisoned, it is not here any more, and ends.
    fn poll_begun(&mut self, number: u64, waker: Waker) -> (Poll<()>, Option<Waker>) {
        if self.top() == number {
            return (Poll::Ready(()), Some(waker));
        }
        match self.begun.iter_mut().find(|begun| begun.number == number) {
            Some(begun) => (Poll::Pending, begun.waker.replace(waker)),
            None => (Poll::Ready(()), Some(waker)),
        }
    }

    /// A call that has begun ends: those are returned that are to be woken.
    fn end(&mut self, number: u64) -> Vec<Waker> {
        let Some(position) = self.position(number) else {
            return Vec::new();
        };
        let was_top = position + 1 == self.begun.len();
        // Who stands in its line looks for another.
        let mut woken = self.begun.remove(position).line.call();
        if was_top {
            woken.extend(self.call());
        }
        woken
    }

    /// Says that what is on top may go on, and that others may begin within it.
    fn call(&mut self) -> Vec<Waker> {
        match self.begun.last_mut() {
            Some(top) => {
                let mut woken = top.line.call();
                woken.extend(top.waker.take());
                woken
            }
            None => self.ground.call(),
        }
    }

    /// A call that waits is dropped: its own waker is returned, and those that are to be woken,
    /// because it was its turn.
    fn leave(&mut self, within: u64, number: u64) -> (Vec<Waker>, Option<Waker>) {
        let is_free = self.top() == within;
        let Some(line) = self.line(within) else {
            return (Vec::new(), None);
        };
        let passes = is_free && line.is_first(number);
        let left = line.leave(number);
        (if passes { line.call() } else { Vec::new() }, left)
    }

    fn clear(&mut self) -> Vec<Waker> {
        let mut woken = self.ground.call();
        for mut begun in self.begun.drain(..) {
            woken.extend(begun.line.call());
            woken.extend(begun.waker);
        }
        woken
    }
}
