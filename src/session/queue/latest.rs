//! Which message of each topic waits in a queue, so that a newer one takes its place (`slow_consumer_policy latest`).
//!
//! Knows hashes and places only; who asks compares the topics. A place stays the same while others leave. Of several messages of a
//! topic, which wait from before the policy was this one, the newest is known.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::limits;
use crate::routing::Grant;

/// Hashes, each with a place.
type Places = HashTable<(u64, u64)>;

/// See the module.
#[derive(Debug)]
pub(super) struct Latest {
    /// By topic and subscription identifier.
    places: Places,
    /// Retained messages, by topic.
    retained: Places,
    hasher: FixedState,
}

impl Default for Latest {
    fn default() -> Self {
        Latest {
            places: HashTable::new(),
            retained: HashTable::new(),
            hasher: FixedState::with_seed(0),
        }
    }
}

impl Latest {
    /// What tells one from another: the topic, and the subscription identifier.
    fn key(&self, topic: &str, id: u32) -> u64 {
        self.hasher.hash_one((topic, id))
    }

    /// The place of a message of this topic and subscription for which `is_it` holds.
    pub(super) fn find(
        &self,
        topic: &str,
        grant: Grant,
        is_it: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        find(&self.places, self.key(topic, grant.id()), is_it)
    }

    /// A message of this topic and subscription waits at this place, and no older one does.
    pub(super) fn put(&mut self, topic: &str, grant: Grant, place: u64) {
        let key = self.key(topic, grant.id());
        put(&mut self.places, key, place);
    }

    /// The same, where older ones may wait: `is_it` holds for their places, of which none is known any more.
    pub(super) fn put_newest(
        &mut self,
        topic: &str,
        grant: Grant,
        place: u64,
        is_it: impl Fn(u64) -> bool,
    ) {
        let key = self.key(topic, grant.id());
        let is_older = |&(other, known): &(u64, u64)| other == key && is_it(known);
        match self.places.find_mut(key, is_older) {
            Some((_, known)) => *known = place,
            None => put(&mut self.places, key, place),
        }
    }

    /// The message at this place has left.
    pub(super) fn leave(&mut self, topic: &str, grant: Grant, place: u64) {
        let key = self.key(topic, grant.id());
        leave(&mut self.places, key, place);
        // Of a queue that was much longer. A table is up to five times as large as what is put into it.
        let len = self.places.len();
        let room = self.places.allocation_size() / size_of::<(u64, u64)>();
        if room > 8 * len.max(limits::QUEUE_CAPACITY_KEPT) {
            self.places.shrink_to(2 * len, |&(key, _)| key);
        }
    }

    /// Whether a retained message of this topic waits for whose number `is_it` holds.
    pub(super) fn has_retained(&self, topic: &str, is_it: impl Fn(u64) -> bool) -> bool {
        find(&self.retained, self.key(topic, 0), is_it).is_some()
    }

    /// A retained message of this topic waits, with this number.
    pub(super) fn put_retained(&mut self, topic: &str, number: u64) {
        let key = self.key(topic, 0);
        put(&mut self.retained, key, number);
    }

    /// The retained message with this number has left.
    pub(super) fn leave_retained(&mut self, topic: &str, number: u64) {
        let key = self.key(topic, 0);
        leave(&mut self.retained, key, number);
        if self.retained.is_empty() {
            self.retained = HashTable::new();
        }
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        (self.places, self.retained) = (HashTable::new(), HashTable::new());
    }

    /// Bytes of memory, its own included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.places.allocation_size() + self.retained.allocation_size()
    }
}

fn find(places: &Places, key: u64, is_it: impl Fn(u64) -> bool) -> Option<u64> {
    let found = places.find(key, |&(other, place)| other == key && is_it(place));
    found.map(|&(_, place)| place)
}

fn put(places: &mut Places, key: u64, place: u64) {
    places.insert_unique(key, (key, place), |&(key, _)| key);
}

fn leave(places: &mut Places, key: u64, place: u64) {
    if let Ok(entry) = places.find_entry(key, |&known| known == (key, place)) {
        entry.remove();
    }
}
