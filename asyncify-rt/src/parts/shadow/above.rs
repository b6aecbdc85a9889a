//! Calls that are parked one above the other on the guest's own stack, where they are.

/// Where the stack pointer goes back to when each of them ends, by the call's number: the last one
/// is the lowest in memory.
#[derive(Default)]
pub(super) struct Above {
    last: u64,
    bases: Vec<(u64, u64)>,
}

impl Above {
    /// A call parks that began at `base`: its number.
    pub(super) fn park(&mut self, base: u64) -> u64 {
        self.last += 1;
        self.bases.push((self.last, base));
        self.last
    }

    /// A call resumes, or is dropped: where it began, if nothing is parked above it. Else what is
    /// next above it takes over: its part of the stack is free when that one ends.
    pub(super) fn take(&mut self, call: u64) -> Option<u64> {
        let at = self.bases.iter().position(|(number, _)| *number == call)?;
        let (_, base) = self.bases.remove(at);
        match self.bases.get_mut(at) {
            None => Some(base),
            Some((_, next)) => {
                *next = base;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever order they end in, the stack is as it was before the first.
    #[test]
    fn the_last_one_to_end_frees_all() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut above = Above::default();
            let calls = [300, 200, 100].map(|base| above.park(base));
            let mut pointer = 50;
            for call in order {
                pointer = above.take(calls[call]).map_or(pointer, |base| pointer.max(base));
            }
            assert_eq!(pointer, 300, "{order:?}");
            assert_eq!(above.take(calls[0]), None, "it is gone");
        }
    }
}
