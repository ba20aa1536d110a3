//! What waits for a session: runs of message numbers that go the same way, in the order in which they came.

use std::collections::VecDeque;

use crate::session::Way;

#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    len: u32,
    way: Way,
}

impl Run {
    fn place(&self, number: u64) -> Option<u32> {
        let place = number.checked_sub(self.first)?;
        (place < u64::from(self.len)).then_some(place as u32)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    runs: VecDeque<Run>,
}

impl Runs {
    /// One more message, behind the others.
    pub(super) fn push(&mut self, number: u64, way: Way) {
        if let Some(last) = self.runs.back_mut()
            && last.way == way
            && last.first.checked_add(u64::from(last.len)) == Some(number)
            && last.len < u32::MAX
        {
            last.len += 1;
            return;
        }
        self.runs.push_back(Run {
            first: number,
            len: 1,
            way,
        });
    }

    /// Takes out the oldest message of this number that goes this way; false if there is none.
    pub(super) fn take(&mut self, number: u64, way: Way) -> bool {
        let runs = self.runs.iter().enumerate();
        let mut runs = runs.filter(|(_, run)| run.way == way);
        let found = runs.find_map(|(index, run)| Some((index, run.place(number)?)));
        let Some((index, place)) = found else {
            return false;
        };
        let run = &mut self.runs[index];
        let behind = Run {
            first: number.wrapping_add(1),
            len: run.len - place - 1,
            way,
        };
        run.len = place;
        match (run.len, behind.len) {
            (0, 0) => {
                self.runs.remove(index);
            }
            (0, _) => *run = behind,
            (_, 0) => {}
            (_, _) => self.runs.insert(index + 1, behind),
        }
        true
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Way)> + '_ {
        let runs = self.runs.iter();
        runs.flat_map(|run| (0..u64::from(run.len)).map(move |place| (run.first + place, run.way)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn way(word: u8) -> Way {
        Way::from_words(u32::from(word % 3), u32::MAX).unwrap()
    }

    #[test]
    fn a_run_ends_with_the_last_number_there_is() {
        let mut runs = Runs::default();
        runs.push(u64::MAX, way(1));
        runs.push(0, way(1));
        let numbers: Vec<u64> = runs.iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [u64::MAX, 0]);
    }

    proptest! {
        #[test]
        fn they_are_a_list(steps in proptest::collection::vec((0u64..20, any::<u8>(), any::<bool>()), 0..200)) {
            let (mut runs, mut naive) = (Runs::default(), Vec::new());
            for (number, word, takes) in steps {
                match takes {
                    true => {
                        let index = naive.iter().position(|&one| one == (number, way(word)));
                        index.map(|index| naive.remove(index));
                        prop_assert_eq!(runs.take(number, way(word)), index.is_some());
                    }
                    false => {
                        runs.push(number, way(word));
                        naive.push((number, way(word)));
                    }
                }
                prop_assert_eq!(runs.iter().collect::<Vec<_>>(), naive.clone());
            }
        }
    }
}
