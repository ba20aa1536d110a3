//! Which filters a topic name matched the last time, so that a topic that repeats is matched by one look-up.
//!
//! What is remembered is the list of filters, not of subscribers: it changes only when a filter gets its first entry
//! or loses its last. Such a change forgets no more than it has to. A filter without wildcards matches one topic
//! name, which is dropped. A filter with wildcards ages its *scope*: the bucket of its first two levels, of its first
//! level, or of everything, as far as it has no wildcard. A topic belongs to three scopes, and what is remembered of
//! it is valid while the sum of their ages (none of which ever falls) is what it was.
//!
//! Invariants: bounded in topics, and per topic in the bytes of its name and the number of filters; a tag of 0 is a
//! vacant slot; all slots of a valid topic are in the set that its hash names.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::filter_id::FilterId;
use super::tree::levels;
use crate::limits::{
    MATCH_CACHE_FILTERS_MAX, MATCH_CACHE_SCOPES, MATCH_CACHE_TOPIC_BYTES_MAX, MATCH_CACHE_TOPICS,
};

/// Slots that a topic may be in.
const WAYS: usize = 4;
const SETS_MIN: usize = 16;
const SETS_MAX: usize = MATCH_CACHE_TOPICS / WAYS;
/// The scope of filters that start with a wildcard.
const EVERYTHING: u16 = 0;

/// One remembered topic.
#[derive(Default)]
struct Slot {
    age: u64,
    topic: Vec<u8>,
    filters: SmallVec<[FilterId; 4]>,
    scopes: [u16; 2],
}

/// Where a topic that was not found is to be remembered.
#[derive(Clone, Copy)]
pub(super) struct Miss(u64);

/// The matches of the topics seen lately.
pub(super) struct MatchCache {
    tags: Vec<[u32; WAYS]>,
    slots: Vec<Slot>,
    ages: Box<[u64]>,
    hasher: FixedState,
    victim: usize,
    heap: usize,
}

impl MatchCache {
    pub(super) fn new(seed: u64) -> MatchCache {
        MatchCache {
            tags: vec![[0; WAYS]; SETS_MIN],
            slots: std::iter::repeat_with(Slot::default)
                .take(SETS_MIN * WAYS)
                .collect(),
            ages: vec![0; MATCH_CACHE_SCOPES].into_boxed_slice(),
            hasher: FixedState::with_seed(seed),
            victim: 0,
            heap: 0,
        }
    }

    /// The filters that match a topic, if that is known.
    #[inline]
    pub(super) fn get(&self, topic: &[u8]) -> Result<&[FilterId], Miss> {
        let hash = hash(&self.hasher, topic);
        match self.find(hash, topic) {
            Some(index) if self.slots[index].age == self.age(self.slots[index].scopes) => {
                Ok(&self.slots[index].filters)
            }
            _ => Err(Miss(hash)),
        }
    }

    /// Remembers what a topic matches, unless that would take too much room.
    pub(super) fn put(&mut self, Miss(hash): Miss, topic: &[u8], filters: &[FilterId]) {
        if topic.len() > MATCH_CACHE_TOPIC_BYTES_MAX || filters.len() > MATCH_CACHE_FILTERS_MAX {
            return;
        }
        let index = self.find(hash, topic).unwrap_or_else(|| self.room(hash));
        let scopes = self.scopes(topic);
        let age = self.age(scopes);
        let slot = &mut self.slots[index];
        let heap = slot.heap();
        slot.topic.clear();
        slot.topic.extend_from_slice(topic);
        slot.filters.clear();
        slot.filters.extend_from_slice(filters);
        (slot.scopes, slot.age) = (scopes, age);
        self.heap = self.heap - heap + slot.heap();
        self.tags[index / WAYS][index % WAYS] = tag(hash);
    }

    /// Forgets what a filter that appeared or disappeared makes wrong.
    pub(super) fn forget(&mut self, filter: &[u8]) {
        let literal = levels(filter).take_while(|level| !matches!(level, [b'+'] | [b'#']));
        let mut literal_bytes = 0;
        let mut literal_levels = 0;
        for level in literal {
            literal_levels += 1;
            literal_bytes += level.len() + usize::from(literal_levels > 1);
        }
        if literal_bytes == filter.len() && literal_levels > 0 {
            if let Some(index) = self.find(hash(&self.hasher, filter), filter) {
                self.tags[index / WAYS][index % WAYS] = 0;
            }
            return;
        }
        let [one, two] = self.scopes(filter);
        let scope = [EVERYTHING, one, two][literal_levels.min(2)];
        self.ages[usize::from(scope)] += 1;
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.tags = vec![[0; WAYS]; SETS_MIN];
        self.slots = std::iter::repeat_with(Slot::default)
            .take(SETS_MIN * WAYS)
            .collect();
        self.heap = 0;
    }

    /// Bytes of heap.
    pub(super) fn memory(&self) -> usize {
        self.heap
            + self.tags.capacity() * size_of::<[u32; WAYS]>()
            + self.slots.capacity() * size_of::<Slot>()
            + size_of_val(&*self.ages)
    }

    #[inline]
    fn find(&self, hash: u64, topic: &[u8]) -> Option<usize> {
        let set = hash as usize & (self.tags.len() - 1);
        let tag = tag(hash);
        (0..WAYS)
            .filter(|&way| self.tags[set][way] == tag)
            .map(|way| set * WAYS + way)
            .find(|&index| self.slots[index].topic == topic)
    }

    #[inline]
    fn age(&self, [one, two]: [u16; 2]) -> u64 {
        self.ages[usize::from(EVERYTHING)]
            + self.ages[usize::from(one)]
            + self.ages[usize::from(two)]
    }

    /// The scopes of the first level and of the first two; of the first twice when there is only one.
    fn scopes(&self, path: &[u8]) -> [u16; 2] {
        let slash = |from: usize| {
            path[from..]
                .iter()
                .position(|&byte| byte == b'/')
                .map(|at| from + at)
        };
        let one = slash(0).unwrap_or(path.len());
        let two = if one < path.len() {
            slash(one + 1).unwrap_or(path.len())
        } else {
            one
        };
        [&path[..one], &path[..two]].map(|prefix| {
            let bucket = hash(&self.hasher, prefix) % (MATCH_CACHE_SCOPES as u64 - 1);
            bucket as u16 + 1
        })
    }

    /// A slot for a topic that has none: a vacant one, one that is out of date, or that of another topic.
    fn room(&mut self, hash: u64) -> usize {
        loop {
            let set = hash as usize & (self.tags.len() - 1);
            let base = set * WAYS;
            let useless = |&way: &usize| {
                let slot = &self.slots[base + way];
                self.tags[set][way] == 0 || slot.age != self.age(slot.scopes)
            };
            if let Some(way) = (0..WAYS).find(useless) {
                return base + way;
            }
            if self.tags.len() == SETS_MAX {
                self.victim = (self.victim + 1) % WAYS;
                return base + self.victim;
            }
            self.grow();
        }
    }

    /// Doubles the number of sets. Those of a set are spread over two, so there is room for each.
    fn grow(&mut self) {
        let sets = self.tags.len() * 2;
        let slots = std::iter::repeat_with(Slot::default)
            .take(sets * WAYS)
            .collect();
        let old_slots = std::mem::replace(&mut self.slots, slots);
        let old_tags = std::mem::replace(&mut self.tags, vec![[0; WAYS]; sets]);
        let mut heap = 0;
        for (slot, old_tag) in old_slots.into_iter().zip(old_tags.into_iter().flatten()) {
            if old_tag == 0 {
                continue;
            }
            let set = hash(&self.hasher, &slot.topic) as usize & (sets - 1);
            if let Some(way) = self.tags[set].iter().position(|&tag| tag == 0) {
                heap += slot.heap();
                self.tags[set][way] = old_tag;
                self.slots[set * WAYS + way] = slot;
            }
        }
        self.heap = heap;
    }
}

impl Slot {
    fn heap(&self) -> usize {
        let filters = if self.filters.spilled() {
            self.filters.capacity() * size_of::<FilterId>()
        } else {
            0
        };
        self.topic.capacity() + filters
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[inline]
fn hash(hasher: &FixedState, topic: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(topic);
    hasher.finish()
}

const _: () =
    assert!(SETS_MAX.is_power_of_two() && SETS_MIN.is_power_of_two() && SETS_MIN <= SETS_MAX);
const _: () = assert!(MATCH_CACHE_SCOPES > 1 && MATCH_CACHE_SCOPES <= u16::MAX as usize);
