//! Which messages that were written before a checkpoint began have been written again since: a bit each, by their numbers.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Bits of a word.
const BITS: u64 = u64::BITS as u64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Numbers from here on are written as they come.
    end: u64,
    /// By number divided by the bits of a word.
    words: HashMap<u64, u64, FixedState>,
}

fn word_of(number: u64) -> (u64, u64) {
    (number / BITS, 1 << (number % BITS))
}

impl Texts {
    /// A checkpoint begins: none of those before this number is written again yet.
    pub(super) fn begin(&mut self, end: u64) {
        self.words.clear();
        self.end = end;
    }

    /// All that anything refers to is written again. The last one may still be at hand, and be referred to again.
    pub(super) fn end(&mut self) {
        let last = word_of(self.end.saturating_sub(1)).0;
        self.words.retain(|&word, _| word == last);
        self.words.shrink_to_fit();
    }

    /// Whether this one is written, if it ever was.
    #[inline]
    pub(super) fn is_written(&self, number: u64) -> bool {
        number >= self.end || self.is_again(number)
    }

    #[cold]
    fn is_again(&self, number: u64) -> bool {
        let (word, bit) = word_of(number);
        self.words.get(&word).is_some_and(|bits| bits & bit != 0)
    }

    /// This one is written again.
    pub(super) fn note(&mut self, number: u64) {
        let (word, bit) = word_of(number);
        *self.words.entry(word).or_default() |= bit;
    }

    /// The first of so many that is not written.
    pub(super) fn first_missing(&self, first: u64, len: u32) -> Option<u64> {
        let end = first.saturating_add(u64::from(len)).min(self.end);
        let mut at = first;
        while at < end {
            let (word, _) = word_of(at);
            let bits = self.words.get(&word).copied().unwrap_or_default();
            let next = at + u64::from((bits >> (at % BITS)).trailing_ones());
            let word_end = (word + 1) * BITS;
            if next < word_end.min(end) {
                return Some(next);
            }
            at = word_end;
        }
        None
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.words.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set(
            end in 0u64..500,
            noted in proptest::collection::btree_set(0u64..500, 0..300),
            (first, len) in (0u64..520, 0u32..300),
        ) {
            let mut texts = Texts::default();
            texts.begin(end);
            let noted: BTreeSet<u64> = noted.into_iter().filter(|&number| number < end).collect();
            noted.iter().for_each(|&number| texts.note(number));
            let is_written = |number: &u64| *number >= end || noted.contains(number);
            let missing = (first..first + u64::from(len)).find(|number| !is_written(number));
            prop_assert_eq!(texts.first_missing(first, len), missing);
            prop_assert!((0..520).all(|number| texts.is_written(number) == is_written(&number)));
            let before = texts.memory();
            texts.end();
            prop_assert!(texts.memory() <= before);
            let last = end.saturating_sub(1);
            prop_assert_eq!(texts.is_written(last), is_written(&last));
        }
    }
}
