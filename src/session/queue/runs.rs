//! What waits for a session, as runs of positions in the shard's list of messages (`session/backlog.rs`).
//!
//! A session that takes what others take has one run, which a message makes longer by one. Runs between the first and the last are
//! kept in a few bytes each, told by their distance from the one before:
//!
//! ```text
//!     distance << 2 | is it longer than one << 1 | is the way another | way, 8 bytes, if so | length, if longer
//! ```
//!
//! Distances (with their sign in the lowest bit) and lengths are variable: 7 bits a byte, the lowest first, the highest bit set in
//! all but the last. So who has topics of its own needs some 2 bytes a message.
//!
//! Positions may be in any order; those that are put one after the other come out one after the other.

use std::collections::VecDeque;

use crate::limits;
use crate::mqtt::QoS;
use crate::routing::EntryOptions;
use crate::session::delivery::{Origin, Way};

/// Positions that follow each other, delivered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    /// None in the last run of an empty queue.
    pub(super) len: u32,
    pub(super) way: Way,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }

    /// All its positions.
    pub(super) fn positions(self) -> impl Iterator<Item = (u64, Way)> {
        (self.start..self.end()).map(move |position| (position, self.way))
    }
}

/// See the module.
pub(super) struct Runs {
    last: Run,
    /// Runs before the last; absent while there are none.
    before: Option<Box<Before>>,
}

impl Default for Runs {
    fn default() -> Self {
        let way = Way {
            grant: EntryOptions::default().grant(QoS::AtMostOnce, false),
            origin: Origin::ORDINARY,
        };
        let last = Run {
            start: 0,
            len: 0,
            way,
        };
        Runs { last, before: None }
    }
}

/// Bytes that most runs take at most.
const RUN_BYTES: usize = 8;

/// All runs but the last.
struct Before {
    first: Run,
    /// Those behind the first.
    others: VecDeque<u8>,
    /// Where the last of all these ends, and its way.
    end: u64,
    way: Way,
}

impl Runs {
    /// Bytes of memory beside itself.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        self.before
            .as_ref()
            .map_or(0, |before| size_of::<Before>() + before.others.capacity())
    }

    /// One more at the end.
    #[inline]
    pub(super) fn push(&mut self, position: u64, way: Way) {
        let last = &mut self.last;
        if position == last.end() && way == last.way && last.len < u32::MAX && last.len > 0 {
            last.len += 1;
            return;
        }
        self.begin(position, way);
    }

    /// A run begins.
    fn begin(&mut self, position: u64, way: Way) {
        let new = Run {
            start: position,
            len: 1,
            way,
        };
        let last = std::mem::replace(&mut self.last, new);
        match &mut self.before {
            _ if last.len == 0 => {}
            Some(before) => before.push(last),
            none => {
                *none = Some(Box::new(Before {
                    first: last,
                    others: VecDeque::new(),
                    end: last.end(),
                    way: last.way,
                }));
            }
        }
    }

    /// What is next.
    #[inline]
    pub(super) fn front(&self) -> Option<(u64, Way)> {
        let first = match &self.before {
            Some(before) => &before.first,
            None => &self.last,
        };
        (first.len > 0).then_some((first.start, first.way))
    }

    /// Takes what is next.
    pub(super) fn pop(&mut self) -> Option<(u64, Way)> {
        let front = self.front()?;
        let first = match &mut self.before {
            Some(before) => &mut before.first,
            None => &mut self.last,
        };
        (first.start, first.len) = (first.start + 1, first.len - 1);
        if first.len == 0
            && let Some(before) = &mut self.before
            && !before.next()
        {
            self.before = None;
        }
        Some(front)
    }

    /// All runs, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Run> {
        let before = self.before.iter().flat_map(|before| before.iter());
        before.chain((self.last.len > 0).then_some(self.last))
    }
}

impl Before {
    /// The run that was the last one is followed by another.
    fn push(&mut self, run: Run) {
        let distance = run.start.wrapping_sub(self.end) as i64;
        let (is_long, is_other) = (run.len > 1, run.way != self.way);
        let bits = u64::from(is_long) << 1 | u64::from(is_other);
        let others = &mut self.others;
        if others.capacity() - others.len() < RUN_BYTES {
            others.reserve_exact(RUN_BYTES + others.len() / 4);
        }
        put(others, folded(distance) << 2 | bits);
        if is_other {
            others.extend(run.way.to_bytes());
        }
        if is_long {
            put(others, run.len.into());
        }
        (self.end, self.way) = (run.end(), run.way);
    }

    /// The first run is through: the next one is the first. False if there is none.
    fn next(&mut self) -> bool {
        let others = &mut self.others;
        let Some(next) = after(&self.first, || others.pop_front()) else {
            return false;
        };
        self.first = next;
        let (len, capacity) = (others.len(), others.capacity());
        if capacity > limits::QUEUE_CAPACITY_KEPT && len < capacity / 4 {
            others.shrink_to(2 * len);
        }
        true
    }

    fn iter(&self) -> impl Iterator<Item = Run> {
        let mut bytes = self.others.iter().copied();
        std::iter::successors(Some(self.first), move |run| after(run, || bytes.next()))
    }
}

/// The run that follows another one, from its bytes.
fn after(run: &Run, mut next: impl FnMut() -> Option<u8>) -> Option<Run> {
    let head = get(&mut next)?;
    let mut way = run.way;
    if head & 0b01 != 0 {
        let mut bytes = [0; 8];
        for byte in &mut bytes {
            *byte = next()?;
        }
        way = Way::from_bytes(bytes);
    }
    let len = match head & 0b10 {
        0 => 1,
        _ => get(&mut next)? as u32,
    };
    let start = run.end().wrapping_add_signed(unfolded(head >> 2));
    Some(Run { start, len, way })
}

/// A distance without a sign: the nearer, the smaller.
fn folded(distance: i64) -> u64 {
    (distance << 1 ^ distance >> 63) as u64
}

/// The inverse of `folded`.
fn unfolded(word: u64) -> i64 {
    (word >> 1) as i64 ^ -((word & 1) as i64)
}

fn put(bytes: &mut VecDeque<u8>, mut word: u64) {
    while word >= 0x80 {
        bytes.push_back(word as u8 | 0x80);
        word >>= 7;
    }
    bytes.push_back(word as u8);
}

fn get(next: &mut impl FnMut() -> Option<u8>) -> Option<u64> {
    let mut word = 0;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        word |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(word)
}
