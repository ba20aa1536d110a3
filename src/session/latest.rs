//! Which message of each topic waits in a queue, so that a newer one takes its place (`slow_consumer_policy latest`).
//!
//! A place is a count of all messages that have ever been put at the end: it stays the same while others leave in front.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// See the module. Knows hashes and places only; who asks compares the topics.
#[derive(Debug)]
pub struct Latest {
    places: HashTable<(u64, u64)>,
    hasher: FixedState,
    /// Messages that have left the queue in front.
    left: u64,
}

impl Default for Latest {
    fn default() -> Self {
        Latest {
            places: HashTable::new(),
            hasher: FixedState::with_seed(0),
            left: 0,
        }
    }
}

impl Latest {
    /// What tells one from another: the topic, and the subscription identifier in the bits of a delivery.
    pub fn key(&self, topic: &[u8], bits: u32) -> u64 {
        self.hasher.hash_one((topic, bits >> 4))
    }

    /// Where in the queue a message with this key waits for which `is_it` holds.
    pub fn find(&self, key: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let index = |place: u64| place.wrapping_sub(self.left) as usize;
        let found = self
            .places
            .find(key, |&(other, place)| other == key && is_it(index(place)));
        found.map(|&(_, place)| index(place))
    }

    /// A message with this key has been put at the end of a queue of this length.
    pub fn put(&mut self, key: u64, len: usize) {
        let place = self.left + len as u64 - 1;
        self.places
            .insert_unique(key, (key, place), |&(key, _)| key);
    }

    /// The message in front, with this key, has left.
    pub fn leave(&mut self, key: u64) {
        let front = self.left;
        let is_it = |&(other, place): &(u64, u64)| other == key && place == front;
        if let Ok(entry) = self.places.find_entry(key, is_it) {
            entry.remove();
        }
        self.left += 1;
    }

    /// Nothing waits any more.
    pub fn clear(&mut self) {
        self.places = HashTable::new();
        self.left = 0;
    }

    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.places.allocation_size()
    }
}
