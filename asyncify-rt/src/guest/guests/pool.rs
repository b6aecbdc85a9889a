//! Which guests there are, who has them, and who waits for one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Result;
use crate::guest::Guest;
use crate::parts::line::Line;
use crate::parts::waker::wake;

pub(super) type Making<T> = Pin<Box<dyn Future<Output = Result<Guest<T>>> + Send>>;
type Make<T> = Box<dyn Fn() -> Making<T> + Send + Sync>;

pub(super) struct Pool<T: Send + 'static> {
    make: Make<T>,
    /// How many guests there may be.
    most: usize,
    /// How many may have one of them at a time.
    holders: usize,
    inside: Mutex<Inside<T>>,
}

struct Inside<T: Send + 'static> {
    line: Line,
    /// The number that was given last, to one who waits or to a guest.
    last: u64,
    guests: Vec<Pooled<T>>,
    /// Guests that are being made or dropped: they count too.
    others: usize,
}

struct Pooled<T: Send + 'static> {
    number: u64,
    guest: Guest<T>,
    holders: usize,
    /// It is handed out no more.
    retired: bool,
}

/// What there is for the next one in the line.
enum Choice<'a, T: Send + 'static> {
    Guest(&'a mut Pooled<T>),
    /// Room to make one.
    Room,
    Nothing,
}

/// One who waits for a guest. Dropping it leaves the line.
pub(super) struct Place<T: Send + 'static> {
    pool: Arc<Pool<T>>,
    number: u64,
}

/// What one who has waited gets.
pub(super) enum Found<T: Send + 'static> {
    Guest(Guest<T>, Lease<T>),
    /// Room to make one.
    Room(Room<T>),
}

/// Somebody has a guest, until this is dropped.
pub(super) struct Lease<T: Send + 'static> {
    pool: Arc<Pool<T>>,
    number: u64,
}

/// A guest is made. If it is not, there is room for another when this is dropped.
pub(super) struct Room<T: Send + 'static> {
    pool: Arc<Pool<T>>,
}

impl<T: Send + 'static> Pool<T> {
    pub(super) fn new(most: usize, holders: usize, make: Make<T>) -> Self {
        let inside = Inside { line: Line::default(), last: 0, guests: Vec::new(), others: 0 };
        Self { make, most, holders, inside: Mutex::new(inside) }
    }

    pub(super) fn make(&self) -> Making<T> {
        (self.make)()
    }

    /// How many guests there are, and how many have one.
    pub(super) fn count(&self) -> (usize, usize) {
        self.open(|inside| {
            let holders = inside.guests.iter().map(|pooled| pooled.holders).sum();
            (inside.guests.len(), holders)
        })
    }

    /// Neither a guest nor a waker is dropped in here: what they hold may have a guest of the pool.
    fn open<R>(&self, f: impl FnOnce(&mut Inside<T>) -> R) -> R {
        f(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what there is, and wakes those who wait for it.
    fn change(&self, f: impl FnOnce(&mut Inside<T>)) {
        let woken = self.open(|inside| {
            f(inside);
            inside.line.call()
        });
        woken.iter().for_each(wake);
    }
}

impl<T: Send + 'static> Inside<T> {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn choose(&mut self, pool: &Pool<T>) -> Choice<'_, T> {
        let room = self.guests.len() + self.others < pool.most;
        let free = self.guests.iter_mut().filter(|pooled| !pooled.retired);
        match free.min_by_key(|pooled| pooled.holders) {
            Some(pooled) if pooled.holders == 0 => Choice::Guest(pooled),
            _ if room => Choice::Room,
            Some(pooled) if pooled.holders < pool.holders => Choice::Guest(pooled),
            _ => Choice::Nothing,
        }
    }
}

impl<T: Send + 'static> Place<T> {
    pub(super) fn new(pool: &Arc<Pool<T>>) -> Self {
        Self { pool: Arc::clone(pool), number: pool.open(Inside::next) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Found<T>> {
        let (pool, number, waker) = (&self.pool, self.number, cx.waker().clone());
        let (found, asks, left, lost) = pool.open(|inside| {
            let replaced = inside.line.stand(number, waker);
            if matches!(inside.choose(pool), Choice::Nothing) {
                return (None, false, (None, replaced), None);
            }
            let (is_first, lost) = inside.line.ask(number);
            if !is_first {
                return (None, true, (None, replaced), lost);
            }
            let left = (inside.line.leave(number), replaced);
            let found = match inside.choose(pool) {
                Choice::Guest(pooled) => {
                    pooled.holders += 1;
                    Some((pooled.number, pooled.guest.clone()))
                }
                Choice::Room | Choice::Nothing => {
                    inside.others += 1;
                    None
                }
            };
            (Some(found), false, left, lost)
        });
        drop(left);
        lost.iter().for_each(wake);
        if asks {
            cx.waker().wake_by_ref();
        }
        let Some(found) = found else {
            return Poll::Pending;
        };
        let pool = Arc::clone(pool);
        Poll::Ready(match found {
            Some((number, guest)) => Found::Guest(guest, Lease { pool, number }),
            None => Found::Room(Room { pool }),
        })
    }
}

impl<T: Send + 'static> Drop for Place<T> {
    fn drop(&mut self) {
        let number = self.number;
        let (left, woken) = self.pool.open(|inside| {
            let passes = inside.line.is_first(number);
            let left = inside.line.leave(number);
            (left, if passes { inside.line.call() } else { Vec::new() })
        });
        drop::<Option<Waker>>(left);
        woken.iter().for_each(wake);
    }
}

impl<T: Send + 'static> Room<T> {
    /// The guest was made, and its maker has it.
    pub(super) fn fill(self, guest: Guest<T>) -> Lease<T> {
        let pool = Arc::clone(&self.pool);
        let number = pool.open(|inside| {
            let number = inside.next();
            inside.guests.push(Pooled { number, guest, holders: 1, retired: false });
            number
        });
        // There is one more, and one less is being made, when this is dropped.
        drop(self);
        Lease { pool, number }
    }
}

impl<T: Send + 'static> Drop for Room<T> {
    fn drop(&mut self) {
        self.pool.change(|inside| inside.others -= 1);
    }
}

impl<T: Send + 'static> Lease<T> {
    /// Says that the guest is handed out no more.
    pub(super) fn retire(&self) {
        self.pool.open(|inside| {
            let mut guests = inside.guests.iter_mut();
            if let Some(pooled) = guests.find(|pooled| pooled.number == self.number) {
                pooled.retired = true;
            }
        });
    }
}

impl<T: Send + 'static> Drop for Lease<T> {
    fn drop(&mut self) {
        let mut gone = None;
        self.pool.change(|inside| {
            let position = inside.guests.iter().position(|pooled| pooled.number == self.number);
            if let Some(position) = position
                && let Some(pooled) = inside.guests.get_mut(position)
            {
                pooled.holders -= 1;
                if pooled.retired && pooled.holders == 0 {
                    gone = Some(inside.guests.swap_remove(position));
                    inside.others += 1;
                }
            }
        });
        if gone.is_some() {
            let _room = Room { pool: Arc::clone(&self.pool) };
            drop(gone);
        }
    }
}
