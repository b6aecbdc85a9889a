//! Telling wakers apart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// What a waker looked like of which a clone is kept.
///
/// [`Waker::will_wake`] compares the tables of functions, and a compiler may make several copies of
/// one: an original of tokio's does not match its clone, and would be cloned again at each poll. So
/// a mark is that of the waker which a poll brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mark(usize);

impl Mark {
    /// A clone that shares its original's data keeps another waker from getting that address. Of
    /// any other clone the mark fits nothing.
    fn new(original: &Waker, clone: &Waker) -> Self {
        if original.data() == clone.data() { Self::of(original) } else { Self::default() }
    }

    fn of(waker: &Waker) -> Self {
        Self::of_addresses(waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
    }

    /// Two tables lie close together, and so may two tasks: with the halves of one swapped, two
    /// wakers differ also where both are as far from each other.
    #[inline]
    fn of_addresses(data: usize, table: usize) -> Self {
        Self(data.rotate_left(usize::BITS / 2) ^ table)
    }

    /// Whether it fits anything.
    pub(crate) fn is_known(self) -> bool {
        self != Self::default()
    }

    /// Whether the clone that is kept wakes whom `waker` does.
    #[inline]
    pub(crate) fn fits(self, waker: &Waker) -> bool {
        self.0 != 0 && self.0 == Self::of(waker).0
    }
}

/// Wakes a task, and goes on should that panic: others wait to be woken too, and a guest to be put
/// in order.
pub(crate) fn wake(waker: &Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref()));
}

/// A clone of a waker, replaced only by another waker's.
#[derive(Debug)]
pub(crate) struct Kept {
    clone: Waker,
    mark: Mark,
}

impl Default for Kept {
    fn default() -> Self {
        Self::new(Waker::noop())
    }
}

impl Kept {
    pub(crate) fn new(waker: &Waker) -> Self {
        let clone = waker.clone();
        Self { mark: Mark::new(waker, &clone), clone }
    }

    #[inline]
    pub(crate) fn keep(&mut self, waker: &Waker) {
        if !self.mark.fits(waker) {
            *self = Self::new(waker);
        }
    }

    #[inline]
    pub(crate) fn waker(&self) -> &Waker {
        &self.clone
    }

    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    pub(crate) fn into_parts(self) -> (Waker, Mark) {
        (self.clone, self.mark)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[test]
    fn wakers_as_far_apart_as_their_tables_are_told_apart() {
        let (data, table) = (0x5555_0040_usize, 0x5000_1000);
        for distance in [1, 8, 0x20, 0x40, 0x1000, 0xffff] {
            let other = Mark::of_addresses(data ^ distance, table ^ distance);
            assert_ne!(Mark::of_addresses(data, table).0, other.0);
        }
    }

    #[test]
    fn a_waker_is_cloned_once() {
        let count = Arc::new(Counted);
        let waker = Waker::from(Arc::clone(&count));
        let mut kept = Kept::default();
        for _ in 0..3 {
            kept.keep(&waker);
            assert_eq!(Arc::strong_count(&count), 3);
        }
        kept.keep(Waker::noop());
        assert_eq!(Arc::strong_count(&count), 2);
    }

    struct Counted;

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
}
