//! What has been decided lately, so that a topic that repeats costs one look-up, whatever the number of rules.
//!
//! Invariants: a decision is kept under the number of who it is about and the whole topic name, and numbers are never
//! given twice; bounded in decisions and in the bytes of each topic name; a tag of 0 is a vacant slot.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::rules::Judgement;
use crate::limits::{ACCESS_CACHE_DECISIONS, ACCESS_CACHE_TOPIC_BYTES_MAX};

/// Slots that a decision may be in.
const WAYS: usize = 4;
const SETS_MIN: usize = 16;
const SETS_MAX: usize = ACCESS_CACHE_DECISIONS / WAYS;

#[derive(Clone, Default)]
struct Slot {
    whose: (u64, u64),
    topic: Box<[u8]>,
    judgement: Judgement,
}

/// See the module.
pub struct Decisions {
    tags: Vec<[u32; WAYS]>,
    slots: Vec<Slot>,
    hasher: FixedState,
    victim: usize,
}

impl Decisions {
    /// None yet.
    pub fn new(seed: u64) -> Self {
        Decisions {
            tags: vec![[0; WAYS]; SETS_MIN],
            slots: vec![Slot::default(); SETS_MIN * WAYS],
            hasher: FixedState::with_seed(seed),
            victim: 0,
        }
    }

    /// What was decided of a topic for `whose`, or what `judge` says.
    #[inline]
    pub fn get_or(
        &mut self,
        whose: (u64, u64),
        topic: &str,
        judge: impl FnOnce() -> Judgement,
    ) -> Judgement {
        let topic = topic.as_bytes();
        let hash = self.hash(whose, topic);
        match self.find(hash, whose, topic) {
            Some(index) => self.slots[index].judgement,
            None => {
                let judgement = judge();
                self.put(hash, whose, topic, judgement);
                judgement
            }
        }
    }

    #[inline]
    fn hash(&self, whose: (u64, u64), topic: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(topic);
        hasher.write_u64(whose.0);
        hasher.write_u64(whose.1);
        hasher.finish()
    }

    #[inline]
    fn find(&self, hash: u64, whose: (u64, u64), topic: &[u8]) -> Option<usize> {
        let set = hash as usize & (self.tags.len() - 1);
        let tag = tag(hash);
        (0..WAYS)
            .filter(|&way| self.tags[set][way] == tag)
            .map(|way| set * WAYS + way)
            .find(|&index| {
                let slot = &self.slots[index];
                slot.whose == whose && *slot.topic == *topic
            })
    }

    fn put(&mut self, hash: u64, whose: (u64, u64), topic: &[u8], judgement: Judgement) {
        if topic.len() > ACCESS_CACHE_TOPIC_BYTES_MAX {
            return;
        }
        let mut set = hash as usize & (self.tags.len() - 1);
        let mut vacant = self.tags[set].iter().position(|&tag| tag == 0);
        if vacant.is_none() && self.tags.len() < SETS_MAX {
            self.grow();
            set = hash as usize & (self.tags.len() - 1);
            vacant = self.tags[set].iter().position(|&tag| tag == 0);
        }
        let way = vacant.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % WAYS;
            self.victim
        });
        self.tags[set][way] = tag(hash);
        self.slots[set * WAYS + way] = Slot {
            whose,
            topic: topic.into(),
            judgement,
        };
    }

    /// Doubles the number of sets. Those of a set are spread over two, so there is room for each.
    fn grow(&mut self) {
        let sets = self.tags.len() * 2;
        let old_tags = std::mem::replace(&mut self.tags, vec![[0; WAYS]; sets]);
        let slots = vec![Slot::default(); sets * WAYS];
        let old_slots = std::mem::replace(&mut self.slots, slots);
        for (slot, old_tag) in old_slots.into_iter().zip(old_tags.into_iter().flatten()) {
            if old_tag == 0 {
                continue;
            }
            let set = self.hash(slot.whose, &slot.topic) as usize & (sets - 1);
            if let Some(way) = self.tags[set].iter().position(|&tag| tag == 0) {
                self.tags[set][way] = old_tag;
                self.slots[set * WAYS + way] = slot;
            }
        }
    }

    /// Decisions that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tags.iter().flatten().filter(|&&tag| tag != 0).count()
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

const _: () =
    assert!(SETS_MAX.is_power_of_two() && SETS_MIN.is_power_of_two() && SETS_MIN <= SETS_MAX);
