//! A hash table of numbers that never takes long to grow.
//!
//! A table of a million entries that doubles moves all of them at once, which with entries that lie all over memory takes a
//! tenth of a second, in which a shard does nothing else. From `SPLIT_FROM` entries on this one consists of `PARTS` tables,
//! each of which grows by itself. Each gets a little more than the one before, the last almost twice as much as the first: equal
//! ones would all double at about the same time. Knows nothing of what the numbers stand for: whoever asks brings the hash, and a way to tell.

use hashbrown::HashTable;

/// Entries from which on it is split.
const SPLIT_FROM: usize = if cfg!(test) { 64 } else { 8192 };
/// Tables then.
const PARTS: usize = 32;
/// Entries below which it is made one table again when it gives memory back.
const JOIN_BELOW: usize = SPLIT_FROM / 4;
/// Which bits of a hash choose the part: not those that hashbrown uses, the lowest and the highest seven.
const PART_SHIFT: u32 = 40;
/// Hashes are dealt to so many slots, and those to parts.
const SLOTS: usize = 1024;
/// The part of each slot: part `i` has as many slots as 2^(i / `PARTS`) is of the sum of all.
const PART_OF: [u8; SLOTS] = {
    // In millionths; 2^(1 / 32) is 1.021897.
    let (mut weights, mut sum, mut weight, mut part) = ([0; PARTS], 0, 1_000_000u64, 0);
    while part < PARTS {
        sum += weight;
        weights[part] = sum;
        weight = weight * 1_021_897 / 1_000_000;
        part += 1;
    }
    let (mut parts, mut slot, mut part) = ([0; SLOTS], 0, 0);
    while slot < SLOTS {
        while slot as u64 * sum >= weights[part] * SLOTS as u64 {
            part += 1;
        }
        parts[slot] = part as u8;
        slot += 1;
    }
    parts
};

/// See the module.
#[derive(Default)]
pub(crate) struct Index {
    /// One, or `PARTS`; none before the first entry.
    parts: Vec<HashTable<u32>>,
    len: usize,
    /// Bytes of heap of all parts.
    bytes: usize,
}

impl Index {
    /// An empty table, without memory.
    pub(crate) fn new() -> Index {
        Index::default()
    }

    /// Numbers in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn part(&self, hash: u64) -> usize {
        match self.parts.len() {
            PARTS => PART_OF[(hash >> PART_SHIFT) as usize % SLOTS].into(),
            _ => 0,
        }
    }

    /// The number with this hash that `is_it`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let part = self.parts.get(self.part(hash))?;
        part.find(hash, |&number| is_it(number)).copied()
    }

    /// Adds a number that is not there. `hash_of` gives the hashes of those that are.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.parts.len() <= 1 {
            self.prepare(&hash_of);
        }
        let part = self.part(hash);
        let part = &mut self.parts[part];
        let grows = part.len() == part.capacity();
        part.insert_unique(hash, number, |&other| hash_of(other));
        self.len += 1;
        if grows {
            self.count_bytes();
        }
    }

    /// Removes a number; its table is made smaller when most of it is gone. Whether it was there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) -> bool {
        let part = self.part(hash);
        let Some(part) = self.parts.get_mut(part) else {
            return false;
        };
        let Ok(found) = part.find_entry(hash, |&other| other == number) else {
            return false;
        };
        found.remove();
        self.len -= 1;
        if part.capacity() > 1024 && part.len() < part.capacity() / 8 {
            part.shrink_to(part.len() * 2, |&other| hash_of(other));
            self.count_bytes();
        }
        true
    }

    /// Gives memory back after many numbers have gone.
    pub(crate) fn shrink(&mut self, hash_of: impl Fn(u32) -> u64) {
        if self.parts.len() > 1 && self.len < JOIN_BELOW {
            self.spread(1, &hash_of);
        }
        for part in &mut self.parts {
            part.shrink_to_fit(|&other| hash_of(other));
        }
        self.parts.shrink_to_fit();
        self.count_bytes();
    }

    /// Bytes of heap.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    #[cold]
    fn count_bytes(&mut self) {
        let tables: usize = self.parts.iter().map(HashTable::allocation_size).sum();
        self.bytes = tables + self.parts.capacity() * size_of::<HashTable<u32>>();
    }

    /// Makes the first part, or splits it.
    fn prepare(&mut self, hash_of: &impl Fn(u32) -> u64) {
        if self.parts.is_empty() {
            self.parts.reserve_exact(1);
            self.parts.push(HashTable::new());
        } else if self.len >= SPLIT_FROM {
            self.spread(PARTS, hash_of);
        }
    }

    /// Moves all numbers to so many tables.
    #[cold]
    fn spread(&mut self, parts: usize, hash_of: &impl Fn(u32) -> u64) {
        let old = std::mem::take(&mut self.parts);
        self.parts = std::iter::repeat_with(HashTable::new).take(parts).collect();
        for number in old.into_iter().flatten() {
            let hash = hash_of(number);
            let part = self.part(hash);
            self.parts[part].insert_unique(hash, number, |&other| hash_of(other));
        }
        self.count_bytes();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::BuildHasher;

    use foldhash::fast::FixedState;
    use proptest::prelude::*;

    use super::*;

    fn hash_of(number: u32) -> u64 {
        FixedState::with_seed(3).hash_one(number % 5000)
    }

    proptest! {
        #[test]
        fn as_a_set(steps in prop::collection::vec((0..300u32, 0..4u8), 1..2000)) {
            let (mut index, mut model) = (Index::new(), BTreeSet::new());
            for (number, kind) in steps {
                let is_there = model.contains(&number);
                let found = index.find(hash_of(number), |other| other == number);
                prop_assert_eq!(found.is_some(), is_there);
                match kind {
                    0 | 1 if !is_there => {
                        index.insert(hash_of(number), number, hash_of);
                        model.insert(number);
                    }
                    2 => prop_assert_eq!(index.remove(hash_of(number), number, hash_of), model.remove(&number)),
                    3 if number < 5 => index.shrink(hash_of),
                    _ => {}
                }
                prop_assert_eq!(index.len(), model.len());
                let counted = index.memory();
                index.count_bytes();
                prop_assert_eq!(index.memory(), counted);
            }
            for &number in &model {
                prop_assert!(index.remove(hash_of(number), number, hash_of));
            }
            prop_assert!(index.is_empty());
            index.shrink(hash_of);
            prop_assert!(index.memory() <= 64, "{}", index.memory());
        }
    }

    #[test]
    fn a_large_one_has_no_table_that_takes_long_to_move() {
        let mut index = Index::new();
        // Entries that moved, by thousands that came.
        let (mut moved, mut most) = (0, 0);
        for number in 0..200_000 {
            let hash = FixedState::with_seed(3).hash_one(number);
            let others = std::cell::Cell::new(0);
            index.insert(hash, number, |other| {
                others.set(others.get() + 1);
                FixedState::with_seed(3).hash_one(other)
            });
            moved = if number % 1000 == 0 { 0 } else { moved } + others.get();
            if number > 10_000 {
                most = most.max(moved);
            }
        }
        assert_eq!(index.parts.len(), PARTS);
        assert!(most < 200_000 / 8, "{most}");
        let largest = index.parts.iter().map(HashTable::len).max().unwrap();
        assert!(largest < 2 * 200_000 / PARTS, "{largest}");
    }
}
