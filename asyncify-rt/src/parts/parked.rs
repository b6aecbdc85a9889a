//! The table of parked calls: for each, the bytes that its frames are.

use std::sync::Arc;
use std::task::Waker;

use super::shadow::ShadowPart;

/// A parked call: all that is needed to put it back.
pub(crate) struct Record {
    /// Its unwound frames, and behind them what is copied of its shadow stack.
    pub(crate) frames: Vec<u8>,
    /// Its part of the shadow stack.
    pub(crate) shadow: ShadowPart,
    /// Wakes the task that polls it.
    pub(crate) waker: Waker,
    /// Bytes of the guest's that the import it waits in was passed copies of.
    pub(crate) passed: u64,
    /// How often it has parked.
    pub(crate) suspensions: u64,
    /// Why it can never be resumed: the guest was poisoned while it was parked.
    pub(crate) dead: Option<Arc<String>>,
}

impl Record {
    /// A call that parks for the first time.
    pub(crate) fn new(waker: Waker) -> Self {
        let (frames, shadow) = (Vec::new(), ShadowPart::None);
        Self { frames, shadow, waker, passed: 0, suspensions: 0, dead: None }
    }

    /// Bytes that are held for it on the host.
    #[inline]
    pub(crate) fn held(&self) -> u64 {
        self.frames.len() as u64 + self.passed
    }

    /// Gives back what earlier suspensions took and this one does not need: only what is needed is
    /// counted, and limited.
    pub(crate) fn trim(&mut self) {
        const SPARE: usize = 256;
        if self.frames.capacity() > 2 * self.frames.len() + SPARE {
            self.frames.shrink_to_fit();
        }
    }

    /// The frames, and what is copied of its shadow stack.
    #[inline]
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.frames.split_at(self.frames.len().saturating_sub(self.shadow.copied()))
    }
}

/// Names a record: its place, and above that the place's generation. A key outlives its record
/// harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    fn new(index: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(index))
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    fn place(self) -> u32 {
        self.0 as u32
    }

    fn index(self) -> usize {
        self.place() as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Records by key. A free place leads to the next one.
#[derive(Default)]
pub(crate) struct Parked {
    places: Vec<Place>,
    /// The first place that was left.
    free: Option<u32>,
    /// Places from here on are free as well, and lead nowhere. When all are, it is the first: then
    /// they are used in order again, which a processor is better at.
    fresh: u32,
    records: usize,
}

struct Place {
    generation: u32,
    content: Content,
}

enum Content {
    Record(Record),
    Free { next: Option<u32> },
}

impl Parked {
    /// Adds a record, or gives it back if there are more of them than can be named.
    pub(crate) fn insert(&mut self, record: Record) -> Result<Key, Record> {
        let index = self.free.unwrap_or(self.fresh);
        if self.free.is_none() {
            let Some(fresh) = index.checked_add(1) else {
                return Err(record);
            };
            self.fresh = fresh;
        }
        self.records += 1;
        let content = Content::Record(record);
        let Some(place) = self.places.get_mut(index as usize) else {
            self.grow();
            self.places.push(Place { generation: 0, content });
            return Ok(Key::new(index, 0));
        };
        if self.free.is_some()
            && let Content::Free { next } = place.content
        {
            self.free = next;
        }
        place.content = content;
        Ok(Key::new(index, place.generation))
    }

    /// Sees to it that one more fits. A table grows by an eighth: twice as many places would stay
    /// empty in most large ones.
    fn grow(&mut self) {
        if self.places.len() == self.places.capacity() {
            self.places.reserve_exact((self.places.len() / 8).max(16));
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Record> {
        match self.places.get(key.index()) {
            Some(Place { generation, content: Content::Record(record) })
                if *generation == key.generation() =>
            {
                Some(record)
            }
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Record> {
        match self.places.get_mut(key.index()) {
            Some(Place { generation, content: Content::Record(record) })
                if *generation == key.generation() =>
            {
                Some(record)
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Record> {
        self.get(key)?;
        let next = self.free;
        let place = self.places.get_mut(key.index())?;
        let content = std::mem::replace(&mut place.content, Content::Free { next });
        place.generation = place.generation.wrapping_add(1);
        self.records -= 1;
        (self.free, self.fresh) = match self.records {
            0 => (None, 0),
            _ => (Some(key.place()), self.fresh),
        };
        match content {
            Content::Record(record) => Some(record),
            Content::Free { .. } => None,
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.places.iter_mut().filter_map(|place| match &mut place.content {
            Content::Record(record) => Some(record),
            Content::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// There may be a million of them.
    #[test]
    fn a_place_is_small() {
        assert!(size_of::<Place>() <= 96, "{}", size_of::<Place>());
    }

    fn record(suspensions: u64) -> Record {
        Record { suspensions, ..Record::new(Waker::noop().clone()) }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert,
        /// Of the keys that were ever given out, also the stale ones.
        Get(prop::sample::Index),
        Remove(prop::sample::Index),
        Count(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Insert),
            1 => any::<prop::sample::Index>().prop_map(Step::Get),
            2 => any::<prop::sample::Index>().prop_map(Step::Remove),
            1 => any::<prop::sample::Index>().prop_map(Step::Count),
        ]
    }

    proptest! {
        #[test]
        fn the_table_is_a_map_whose_keys_are_never_given_twice(
            steps in prop::collection::vec(step(), 0..200)
        ) {
            let (mut parked, mut model, mut keys) = (Parked::default(), HashMap::new(), Vec::new());
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Insert => {
                        let key = parked.insert(record(number)).map_err(|_| "refused").unwrap();
                        prop_assert!(!keys.contains(&key));
                        keys.push(key);
                        model.insert(key, number);
                    }
                    _ if keys.is_empty() => {}
                    Step::Get(which) => {
                        let key = *which.get(&keys);
                        let found = parked.get(key).map(|record| record.suspensions);
                        prop_assert_eq!(found, model.get(&key).copied());
                    }
                    Step::Remove(which) => {
                        let key = *which.get(&keys);
                        let removed = parked.remove(key).map(|record| record.suspensions);
                        prop_assert_eq!(removed, model.remove(&key));
                    }
                    Step::Count(which) => {
                        let key = *which.get(&keys);
                        let found = parked.get_mut(key).map(|record| &mut record.suspensions);
                        let counted = model.get_mut(&key);
                        prop_assert_eq!(found.is_some(), counted.is_some());
                        if let (Some(found), Some(counted)) = (found, counted) {
                            *found += 1_000;
                            *counted += 1_000;
                        }
                    }
                }
                let mut left: Vec<_> =
                    parked.iter_mut().map(|record| record.suspensions).collect();
                let mut expected: Vec<_> = model.values().copied().collect();
                left.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(left, expected);
            }
        }
    }

    #[test]
    fn a_record_keeps_little_more_than_it_holds() {
        let mut record = record(0);
        for len in [1 << 20, 1 << 19, 100, 0, 300, 1 << 16] {
            record.frames.clear();
            record.frames.resize(len, 7);
            record.trim();
            assert!(record.frames.capacity() <= 2 * len + 256, "{len}");
            assert!(record.frames.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn places_are_used_again() {
        let mut parked = Parked::default();
        let insert = |parked: &mut Parked| parked.insert(record(0)).map_err(|_| ()).unwrap();
        let first: Vec<_> = (0..10).map(|_| insert(&mut parked)).collect();
        for _ in 0..10 {
            for key in &first {
                parked.remove(*key);
            }
            let keys: Vec<_> = (0..10).map(|_| insert(&mut parked)).collect();
            assert!(first.iter().all(|stale| parked.get(*stale).is_none()));
            for key in keys {
                assert!(parked.remove(key).is_some());
            }
        }
        assert_eq!(parked.places.len(), 10);
    }

    #[test]
    fn places_are_used_in_order_again_when_all_are_free() {
        let mut parked = Parked::default();
        let insert = |parked: &mut Parked| parked.insert(record(0)).map_err(|_| ()).unwrap();
        for left in [0, 3] {
            let mut keys: Vec<_> = (0..10).map(|_| insert(&mut parked)).collect();
            assert!(keys.iter().map(|key| key.index()).eq(0..10));
            let kept = keys.split_off(10 - left);
            for key in keys.iter().rev().step_by(2).chain(keys.iter().rev().skip(1).step_by(2)) {
                assert!(parked.remove(*key).is_some());
            }
            for key in &kept {
                assert!(parked.remove(*key).is_some());
            }
        }
        assert!((0..10).map(|_| insert(&mut parked).index()).eq(0..10));
    }
}
