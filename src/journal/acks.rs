//! Acknowledgements of clients on their way to records: by frame, until they are many or old enough.
//!
//! Frames that are acknowledged at one time lie close together, and each has many acknowledgements: so these are put to their frame at
//! once, and nothing is sorted.

use super::members::Sum;
use crate::limits;

/// Those of one frame.
#[derive(Debug, Default)]
struct Frame {
    members: Vec<u32>,
    sum: Sum,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The order of the first frame.
    first: u64,
    /// By distance from that.
    frames: Vec<Frame>,
    /// Of frames that are far from these: order and session.
    far: Vec<(u64, u32)>,
    count: usize,
    /// Sessions that all frames have room for.
    room: usize,
}

impl Acks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// A session has acknowledged the frame of this order.
    #[inline]
    pub(super) fn push(&mut self, order: u64, session: u32, seed: u64) {
        if self.count == 0 {
            // Others may be acknowledged that are older.
            self.first = order.saturating_sub(limits::JOURNAL_ACKS_FRAMES as u64 / 4);
        }
        self.count += 1;
        let place = order.wrapping_sub(self.first);
        if place >= limits::JOURNAL_ACKS_FRAMES as u64 {
            return self.far.push((order, session));
        }
        let place = place as usize;
        if self.frames.len() <= place {
            self.frames.resize_with(place + 1, Frame::default);
        }
        let frame = &mut self.frames[place];
        let before = frame.members.capacity();
        frame.members.push(session);
        frame.sum.add(session, seed);
        self.room += frame.members.capacity() - before;
    }

    /// Calls for each frame, with the sessions that have acknowledged it; then there are none.
    pub(super) fn take(&mut self, seed: u64, mut then: impl FnMut(u64, &mut [u32], Sum)) {
        let first = self.first;
        for (place, frame) in self.frames.iter_mut().enumerate() {
            if frame.members.is_empty() {
                continue;
            }
            then(
                first.wrapping_add(place as u64),
                &mut frame.members,
                frame.sum,
            );
            frame.sum = Sum::default();
            frame.members.clear();
        }
        let mut far = std::mem::take(&mut self.far);
        far.sort_unstable();
        for same in far.chunk_by(|one, other| one.0 == other.0) {
            let mut members: Vec<u32> = same.iter().map(|&(_, session)| session).collect();
            let mut sum = Sum::default();
            members.iter().for_each(|&session| sum.add(session, seed));
            then(same[0].0, &mut members, sum);
        }
        far.clear();
        self.far = far;
        self.count = 0;
        if self.memory() > limits::JOURNAL_ACKS_BYTES {
            // What one burst took need not stay.
            *self = Acks::default();
        }
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.frames.capacity() * size_of::<Frame>()
            + self.room * size_of::<u32>()
            + self.far.capacity() * size_of::<(u64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_acknowledgement_comes_out_with_its_frame(
            begin in any::<u64>(),
            acks in proptest::collection::vec((0u64..3 * limits::JOURNAL_ACKS_FRAMES as u64, 0u32..50), 1..300),
            cut in 0usize..300,
        ) {
            let mut all = Acks::default();
            let (early, late) = acks.split_at(cut.min(acks.len()));
            for part in [early, late] {
                let mut expected: BTreeMap<u64, (Vec<u32>, Sum)> = BTreeMap::new();
                for &(distance, session) in part {
                    let order = begin.wrapping_add(distance);
                    all.push(order, session, 7);
                    let (members, sum) = expected.entry(order).or_default();
                    members.push(session);
                    sum.add(session, 7);
                }
                prop_assert_eq!(all.len(), part.len());
                let mut given = BTreeMap::new();
                all.take(7, |order, members, sum| {
                    let before = given.insert(order, (members.to_vec(), sum));
                    assert!(before.is_none(), "a frame comes once");
                });
                for (members, _) in given.values_mut().chain(expected.values_mut()) {
                    members.sort_unstable();
                }
                prop_assert_eq!(given, expected);
            }
        }
    }
}
