//! The table of parked calls: for each, the bytes that its frames are.

use std::sync::Arc;
use std::task::Waker;

use crate::shadow_stack::ShadowPart;

/// A parked call: all that is needed to put it back.
pub(crate) struct Record {
    /// Its unwound frames.
    pub(crate) frames: Vec<u8>,
    /// Its part of the shadow stack.
    pub(crate) shadow: ShadowPart,
    /// Wakes the task that polls it.
    pub(crate) waker: Waker,
    /// How often it has parked.
    pub(crate) suspensions: u64,
    /// Why it can never be resumed: the guest was poisoned while it was parked.
    pub(crate) dead: Option<Arc<str>>,
}

/// Names a record. A key outlives its record harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

/// Records by key. A free place leads to the next one.
#[derive(Default)]
pub(crate) struct Parked {
    places: Vec<Place>,
    free: Option<u32>,
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
        let next = u32::try_from(self.places.len());
        let Some(index) = self.free.or(next.ok()) else {
            return Err(record);
        };
        let content = Content::Record(record);
        let generation = match self.places.get_mut(index as usize) {
            Some(place) => {
                if let Content::Free { next } = place.content {
                    self.free = next;
                }
                place.content = content;
                place.generation
            }
            None => {
                self.places.push(Place { generation: 0, content });
                0
            }
        };
        Ok(Key { index, generation })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Record> {
        match self.places.get(key.index as usize) {
            Some(Place { generation, content: Content::Record(record) })
                if *generation == key.generation =>
            {
                Some(record)
            }
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Record> {
        match self.places.get_mut(key.index as usize) {
            Some(Place { generation, content: Content::Record(record) })
                if *generation == key.generation =>
            {
                Some(record)
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Record> {
        self.get(key)?;
        let next = self.free;
        let place = self.places.get_mut(key.index as usize)?;
        let content = std::mem::replace(&mut place.content, Content::Free { next });
        place.generation = place.generation.wrapping_add(1);
        self.free = Some(key.index);
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
