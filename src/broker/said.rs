//! So many lines about one and the same in a while; the rest is counted, and said when the while is over. So nobody fills a
//! disk, and nobody's lines hide another's.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// How much is written in a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// Lines about one and the same.
    pub lines: u32,
    /// Milliseconds that the while takes, from the first line on.
    pub ms: u64,
    /// How many are told apart. Of others there is no line; they are counted together.
    pub apart: usize,
}

/// See the module. It is told the time by `take`, which comes before `admit`.
pub(super) struct Said<K> {
    bound: Bound,
    told: HashMap<K, Told, FixedState>,
    others: u64,
    now_ms: u64,
    /// Milliseconds: when the while is over. Means nothing while nothing was told in it.
    ends_ms: u64,
}

/// Lines about one.
#[derive(Default)]
struct Told {
    lines: u32,
    left_out: u64,
}

impl<K: Hash + Eq + Ord> Said<K> {
    pub(super) fn new(bound: Bound) -> Self {
        Said {
            bound,
            told: HashMap::with_hasher(FixedState::with_seed(0)),
            others: 0,
            now_ms: 0,
            ends_ms: 0,
        }
    }

    /// Whether one more line about this is written; it is counted if not.
    pub(super) fn admit(&mut self, about: K) -> bool {
        if self.told.is_empty() {
            self.ends_ms = self.now_ms + self.bound.ms;
        }
        if self.told.len() >= self.bound.apart && !self.told.contains_key(&about) {
            self.others += 1;
            return false;
        }
        let told = self.told.entry(about).or_default();
        let is_written = told.lines < self.bound.lines;
        told.lines += u32::from(is_written);
        told.left_out += u64::from(!is_written);
        is_written
    }

    /// When `take` is to be called: a while ends.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (!self.told.is_empty()).then_some(self.ends_ms)
    }

    /// It is so late. Once a while is over: what was left out in it, in order; those that were not told apart come last, without
    /// a name.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<(Option<K>, u64)> {
        self.now_ms = now_ms;
        if self.due_ms().is_none_or(|due_ms| now_ms < due_ms) {
            return Vec::new();
        }
        let told = self.told.drain();
        let mut all: Vec<(K, u64)> = told.map(|(about, told)| (about, told.left_out)).collect();
        all.retain(|&(_, left_out)| left_out > 0);
        all.sort_unstable();
        self.told.shrink_to(self.bound.apart / 16);
        let mut all: Vec<_> = (all.into_iter())
            .map(|(about, left_out)| (Some(about), left_out))
            .collect();
        match std::mem::take(&mut self.others) {
            0 => {}
            others => all.push((None, others)),
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound {
        lines: 2,
        ms: 1000,
        apart: 3,
    };

    #[test]
    fn each_has_its_lines_and_the_rest_is_said_once() {
        let mut said = Said::new(BOUND);
        assert!(said.take(5000).is_empty() && said.due_ms().is_none());
        let written =
            |said: &mut Said<char>, about, times| (0..times).filter(|_| said.admit(about)).count();
        assert_eq!(written(&mut said, 'b', 10), 2);
        assert_eq!(written(&mut said, 'a', 3), 2);
        assert_eq!(written(&mut said, 'c', 2), 2);
        assert_eq!(
            written(&mut said, 'd', 4),
            0,
            "one too many to be told apart"
        );
        assert_eq!(said.due_ms(), Some(6000));
        assert!(said.take(5999).is_empty());
        assert_eq!(said.take(6000), [(Some('a'), 1), (Some('b'), 8), (None, 4)]);
        assert!(said.due_ms().is_none() && said.take(9000).is_empty());
    }

    #[test]
    fn another_while_has_lines_of_its_own() {
        let mut said = Said::new(BOUND);
        for second in 1..5 {
            assert_eq!(said.take(second * 1000).len(), usize::from(second > 1));
            assert_eq!((0..5).filter(|_| said.admit(())).count(), 2);
        }
    }

    #[test]
    fn a_while_in_which_all_was_said_ends_in_silence() {
        let mut said = Said::new(BOUND);
        said.take(0);
        assert!(said.admit(1) && said.admit(2));
        assert!(said.take(1000).is_empty());
        assert_eq!(said.due_ms(), None);
    }
}
