//! Verification: for each subscriber, which message of each stream has come, and which has not.
//!
//! A *stream* is a publisher's sequence of messages that the same filters match, numbered from 0. What a subscriber
//! expects next of a stream is one number; messages that it did not get in order are kept as ranges beside it. So the
//! common case costs a comparison and an increment, and the count of losses, duplicates and reorderings is exact.

use std::collections::HashMap;
use std::ops::Range;

use crate::limits;

/// The streams that a filter matches.
#[derive(Clone, Debug)]
pub enum View {
    /// Streams that follow each other.
    Range(Range<u32>),
    /// Any others, to their places.
    Map(HashMap<u32, u32>),
}

impl View {
    /// Of these streams, which rise.
    pub fn of(streams: &[u32]) -> View {
        match (streams.first(), streams.last()) {
            (Some(&first), Some(&last)) if (last - first) as usize + 1 == streams.len() => {
                View::Range(first..last + 1)
            }
            (None, _) => View::Range(0..0),
            _ => View::Map(streams.iter().zip(0..).map(|(&s, at)| (s, at)).collect()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            View::Range(range) => range.len(),
            View::Map(places) => places.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn place(&self, stream: u32) -> Option<u32> {
        match self {
            View::Range(range) => range.contains(&stream).then(|| stream - range.start),
            View::Map(places) => places.get(&stream).copied(),
        }
    }

    /// The streams with their places.
    fn each(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            View::Range(range) => Box::new(range.clone().zip(0..)),
            View::Map(places) => Box::new(places.iter().map(|(&stream, &place)| (stream, place))),
        }
    }
}

/// What a delivery was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The next of its stream, or one ahead of others that are missing.
    Fresh,
    /// One that was missing, behind a younger one.
    Late,
    /// One that had come before.
    Again,
    /// Of a stream that the subscriber's filter does not match.
    Unexpected,
}

/// One subscriber, or the members of a shared subscription together.
#[derive(Clone, Debug)]
struct Reader {
    view: u32,
    /// Where its numbers begin in `next`.
    offset: u32,
    /// Members of a shared subscription have no order among them.
    ordered: bool,
}

/// What the subscribers of one worker have seen.
#[derive(Debug, Default)]
pub struct Ledger {
    views: Vec<View>,
    readers: Vec<Reader>,
    /// One more than the highest sequence seen, for each reader and stream.
    next: Vec<u32>,
    /// Sequences below `next` that have not come, by place in `next`: rising, disjoint ranges.
    missing: HashMap<u32, Vec<Range<u32>>>,
    /// How many ranges there are.
    gaps: usize,
    /// Messages in gaps beyond `LOAD_GAPS_MAX`, by place: lost, whatever comes late.
    given_up: HashMap<u32, u64>,
    pub duplicated: u64,
    pub reordered: u64,
    pub unexpected: u64,
}

/// What a ledger comes to when all has arrived that will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub expected: u64,
    pub lost: u64,
    /// Deliveries of streams that the filter does not match after all.
    pub unexpected: u64,
}

impl Ledger {
    /// A ledger for readers of these views.
    pub fn new(views: Vec<View>) -> Self {
        Ledger {
            views,
            ..Ledger::default()
        }
    }

    /// Adds a reader; its number.
    pub fn add(&mut self, view: u32, ordered: bool) -> u32 {
        let offset = self.next.len() as u32;
        let streams = self.views.get(view as usize).map_or(0, View::len);
        self.next.resize(self.next.len() + streams, 0);
        self.readers.push(Reader {
            view,
            offset,
            ordered,
        });
        (self.readers.len() - 1) as u32
    }

    /// From now on messages of a stream may come in any order.
    pub fn forget_order(&mut self) {
        for reader in &mut self.readers {
            reader.ordered = false;
        }
    }

    /// A delivery to a reader.
    #[inline]
    pub fn see(&mut self, reader: u32, stream: u32, sequence: u32) -> Seen {
        let place = self.readers.get(reader as usize).and_then(|reader| {
            let view = self.views.get(reader.view as usize)?;
            Some(reader.offset + view.place(stream)?)
        });
        let Some(place) = place.filter(|_| sequence < u32::MAX) else {
            self.unexpected += 1;
            return Seen::Unexpected;
        };
        let next = &mut self.next[place as usize];
        if sequence == *next {
            *next += 1;
            return Seen::Fresh;
        }
        self.see_other(reader, place, sequence)
    }

    #[cold]
    fn see_other(&mut self, reader: u32, place: u32, sequence: u32) -> Seen {
        let next = &mut self.next[place as usize];
        if sequence > *next {
            let gap = *next..sequence;
            *next = sequence + 1;
            if self.gaps < limits::LOAD_GAPS_MAX {
                self.missing.entry(place).or_default().push(gap);
                self.gaps += 1;
            } else {
                *self.given_up.entry(place).or_default() += gap.len() as u64;
            }
            return Seen::Fresh;
        }
        let ranges = self.missing.entry(place).or_default();
        let gaps = ranges.len();
        // One number can split a gap in two: so much more than the bound there can be.
        let was_missing = take(ranges, sequence);
        self.gaps = self.gaps + ranges.len() - gaps;
        if ranges.is_empty() {
            self.missing.remove(&place);
        }
        if !was_missing {
            self.duplicated += 1;
            return Seen::Again;
        }
        if self.readers[reader as usize].ordered {
            self.reordered += 1;
            return Seen::Late;
        }
        Seen::Fresh
    }

    /// Compares with what was published: `sent` messages by stream; `wanted` tells whether a view's filter matches a
    /// stream, where that was not known from the start.
    pub fn balance(&self, sent: &[u32], wanted: impl Fn(u32, u32) -> bool) -> Balance {
        let mut balance = Balance::default();
        for reader in &self.readers {
            let Some(view) = self.views.get(reader.view as usize) else {
                continue;
            };
            for (stream, place) in view.each() {
                let place = reader.offset + place;
                let seen = self.next[place as usize];
                let sent = sent.get(stream as usize).copied().unwrap_or(0);
                let given_up = self.given_up.get(&place).copied().unwrap_or(0);
                let missing = self
                    .missing
                    .get(&place)
                    .map_or(given_up, |ranges| given_up + total(ranges));
                if wanted(reader.view, stream) {
                    balance.expected += u64::from(sent);
                    balance.lost += u64::from(sent.saturating_sub(seen)) + missing;
                    balance.unexpected += u64::from(seen.saturating_sub(sent));
                } else {
                    balance.unexpected += u64::from(seen) - missing;
                }
            }
        }
        balance
    }
}

fn total(ranges: &[Range<u32>]) -> u64 {
    ranges.iter().map(|range| range.len() as u64).sum()
}

/// Takes a number out of rising ranges; whether it was in one.
fn take(ranges: &mut Vec<Range<u32>>, number: u32) -> bool {
    let at = ranges.partition_point(|range| range.end <= number);
    let Some(range) = ranges.get_mut(at).filter(|range| range.contains(&number)) else {
        return false;
    };
    let rest = number + 1..range.end;
    range.end = number;
    match (range.start == range.end, rest.start == rest.end) {
        (true, true) => {
            ranges.remove(at);
        }
        (true, false) => ranges[at] = rest,
        (false, true) => {}
        (false, false) => ranges.insert(at + 1, rest),
    }
    true
}

#[cfg(test)]
mod tests;
