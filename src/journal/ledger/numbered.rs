//! Values by numbers that mostly follow one another, as those of messages do.
//!
//! Numbers that lie together share a block, which is found with one look for all of them. A block has room for what is there only: a
//! bit says whether a number has a value, and the bits below it say where that lies. So old messages that lie far apart, as retained
//! ones do, take about as much as in a table.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Numbers that share a block, as a power of two: a bit for each is in one word.
const BLOCK_BITS: u32 = u64::BITS.trailing_zeros();

#[derive(Debug)]
struct Block<T> {
    bits: u64,
    /// By number.
    values: Vec<T>,
}

/// See the module.
#[derive(Debug)]
pub(in crate::journal) struct Numbered<T> {
    blocks: HashMap<u64, Block<T>, FixedState>,
    len: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered {
            blocks: HashMap::default(),
            len: 0,
        }
    }
}

/// The places of the bits that are set, the lowest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (at < u64::BITS).then(|| u64::from(at))
    }
}

/// The key of its block, and its bit.
fn place(number: u64) -> (u64, u64) {
    (number >> BLOCK_BITS, 1 << (number % u64::BITS as u64))
}

impl<T> Block<T> {
    /// Where the value of a bit lies, or has its place.
    fn at(&self, bit: u64) -> Result<usize, usize> {
        let at = (self.bits & (bit - 1)).count_ones() as usize;
        match self.bits & bit {
            0 => Err(at),
            _ => Ok(at),
        }
    }

    fn insert(&mut self, bit: u64, value: T) -> Option<T> {
        match self.at(bit) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                self.bits |= bit;
                self.values.insert(at, value);
                None
            }
        }
    }

    fn retain(&mut self, key: u64, mut is_kept: impl FnMut(u64, &mut T) -> bool) {
        let (mut left, mut kept) = (self.bits, 0);
        self.values.retain_mut(|value| {
            let at = left.trailing_zeros();
            left &= left - 1;
            let is_kept = is_kept(key << BLOCK_BITS | u64::from(at), value);
            kept |= u64::from(is_kept) << at;
            is_kept
        });
        self.bits = kept;
    }
}

impl<T> Numbered<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::journal) fn get(&self, number: u64) -> Option<&T> {
        let (key, bit) = place(number);
        let block = self.blocks.get(&key)?;
        Some(&block.values[block.at(bit).ok()?])
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (key, bit) = place(number);
        let block = self.blocks.get_mut(&key)?;
        let at = block.at(bit).ok()?;
        Some(&mut block.values[at])
    }

    /// In the place of what had this number, which is returned.
    pub(in crate::journal) fn insert(&mut self, number: u64, value: T) -> Option<T> {
        let (key, bit) = place(number);
        let block = self.blocks.entry(key).or_insert_with(|| Block {
            bits: 0,
            values: Vec::new(),
        });
        let before = block.insert(bit, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let (key, bit) = place(number);
        let Entry::Occupied(mut entry) = self.blocks.entry(key) else {
            return None;
        };
        let block = entry.get_mut();
        let at = block.at(bit).ok()?;
        block.bits &= !bit;
        let removed = block.values.remove(at);
        match block.values.len() {
            0 => {
                entry.remove();
            }
            left if left <= block.values.capacity() / 4 => block.values.shrink_to_fit(),
            _ => {}
        }
        self.len -= 1;
        Some(removed)
    }

    /// All of them with their numbers, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let blocks = self.blocks.iter();
        blocks.flat_map(|(key, block)| {
            let numbers = Bits(block.bits).map(move |at| key << BLOCK_BITS | at);
            numbers.zip(&block.values)
        })
    }

    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(u64, &mut T) -> bool) {
        let mut len = 0;
        self.blocks.retain(|&key, block| {
            block.retain(key, &mut is_kept);
            len += block.values.len();
            block.bits != 0
        });
        self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_numbers_there_are_have_a_place() {
        let mut numbered = Numbered::default();
        for number in [u64::MAX - 1, u64::MAX, 0] {
            assert_eq!(numbered.insert(number, number), None);
        }
        numbered.retain(|number, _| number != u64::MAX);
        assert_eq!(numbered.get(u64::MAX - 1), Some(&(u64::MAX - 1)));
        assert_eq!((numbered.get(u64::MAX), numbered.get(0)), (None, Some(&0)));
    }

    proptest! {
        #[test]
        fn they_are_a_map(steps in proptest::collection::vec((0u64..1000, 0u8..8, any::<u8>()), 0..600)) {
            let (mut numbered, mut naive) = (Numbered::default(), BTreeMap::new());
            let mut next = 0;
            for (number, what, value) in steps {
                match what {
                    // Most follow one another, with gaps now and then.
                    0..3 => {
                        next += 1 + number / 900 * 70;
                        prop_assert_eq!(numbered.insert(next, value), naive.insert(next, value));
                    }
                    3 => prop_assert_eq!(numbered.insert(number, value), naive.insert(number, value)),
                    4 | 5 => prop_assert_eq!(numbered.remove(number), naive.remove(&number)),
                    6 => prop_assert_eq!(numbered.get_mut(number), naive.get_mut(&number)),
                    _ if number < 50 => {
                        numbered.retain(|number, value| (number + u64::from(*value)) % 3 > 0);
                        naive.retain(|number, value| (number + u64::from(*value)) % 3 > 0);
                    }
                    _ => prop_assert_eq!(numbered.get(number), naive.get(&number)),
                }
                prop_assert_eq!(numbered.len(), naive.len());
                let mut blocks = numbered.blocks.values();
                let is_right = |block: &Block<u8>| {
                    block.bits != 0 && block.values.len() == block.bits.count_ones() as usize
                };
                let are_right = blocks.all(is_right);
                prop_assert!(are_right, "each value has its bit, and no block is empty");
            }
            for (number, value) in &naive {
                prop_assert_eq!(numbered.get(*number), Some(value));
            }
            let mut all: Vec<_> = numbered.iter().map(|(number, value)| (number, *value)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, naive.into_iter().collect::<Vec<_>>());
        }
    }
}
