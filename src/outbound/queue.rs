//! What is queued for one connection: a list of ranges, of which the first is held in place, because most queues never
//! have a second.

use std::collections::VecDeque;

use super::blob::BlobId;
use super::range::Range;
use crate::limits;

const DIRTY: u8 = 1;
const CANCELLED: u8 = 2;
/// The send in flight has all that was pending when it started, or all before a gate, so it ends with a whole packet.
const WHOLE: u8 = 4;
/// Dropping messages has not brought the queue down; there is no use in trying again before something was sent.
const STUCK: u8 = 8;
/// The client knows topics by aliases that the broker sets: what sets one must not be dropped.
const ALIASES: u8 = 16;
/// Nothing is sent yet: what is queued waits for something that is not the socket.
const SHUT: u8 = 32;
/// There are gates (`gates`).
const GATED: u8 = 64;
/// The first of them is at the front.
const CLOSED: u8 = 128;

/// A list of ranges that is lent to queues with more than one. In a box, because a queue without one should be small.
pub(super) type List = Box<VecDeque<Range>>;

const NOTHING: Range = Range {
    blob: BlobId(u32::MAX),
    offset: 0,
    len: 0,
};

/// The queue of one connection; see the invariants of the module above.
pub(super) struct Queue {
    /// The front; without bytes when the queue is empty.
    first: Range,
    /// What follows it; present only while something does.
    more: Option<List>,
    pending: u32,
    in_flight: u32,
    /// Bytes at the front that belong to a packet of which a part has been sent.
    skip: u32,
    /// When the send in flight was started, in seconds.
    since_s: u32,
    flags: u8,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            first: NOTHING,
            more: None,
            pending: 0,
            in_flight: 0,
            skip: 0,
            since_s: 0,
            flags: 0,
        }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Whether nothing is left of an earlier owner.
    pub(super) fn is_new(&self) -> bool {
        self.first.len == 0
            && (self.pending, self.in_flight, self.skip) == (0, 0, 0)
            && self.flags & !DIRTY == 0
    }

    pub(super) fn pending(&self) -> u32 {
        self.pending
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn skip(&self) -> u32 {
        self.skip
    }

    pub(super) fn set_skip(&mut self, skip: u32) {
        self.skip = skip;
    }

    pub(super) fn since_s(&self) -> u32 {
        self.since_s
    }

    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        if self.first.len == 0 {
            0
        } else {
            1 + self.more.as_ref().map_or(0, |more| more.len())
        }
    }

    /// The ranges, front first.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        let first = (self.first.len > 0).then_some(self.first);
        first
            .into_iter()
            .chain(self.more.iter().flat_map(|more| more.iter().copied()))
    }

    /// Whether the ranges are so small that copying them together is cheaper than a vector of them.
    pub(super) fn is_fragmented(&self) -> bool {
        let len = self.len();
        len > 1
            && (self.pending as usize)
                < (len * limits::JOIN_BYTES_MEAN_MAX).min(limits::JOIN_BYTES_MAX)
    }

    /// Makes the last range longer if this one starts where it ends.
    #[inline]
    pub(super) fn append(&mut self, range: Range) -> bool {
        let last = match &mut self.more {
            None => &mut self.first,
            Some(more) => match more.back_mut() {
                Some(last) => last,
                None => &mut self.first,
            },
        };
        let follows = last.extend(range);
        if follows {
            self.pending += range.len;
        }
        follows
    }

    /// Adds a range behind the others.
    pub(super) fn push(&mut self, range: Range, spare: impl FnOnce() -> List) {
        self.pending += range.len;
        if self.first.len == 0 {
            self.first = range;
        } else {
            self.more.get_or_insert_with(spare).push_back(range);
        }
    }

    /// Replaces all ranges; the bytes of `ranges` are what is pending then. Returns the list if it is no longer used.
    pub(super) fn replace(
        &mut self,
        ranges: &[Range],
        spare: impl FnOnce() -> List,
    ) -> Option<List> {
        self.pending = ranges.iter().map(|range| range.len).sum();
        self.first = ranges.first().copied().unwrap_or(NOTHING);
        let mut list = self.more.take();
        if ranges.len() < 2 {
            return list.map(|mut list| {
                list.clear();
                list
            });
        }
        let more = list.take().unwrap_or_else(spare);
        let more = self.more.insert(more);
        more.clear();
        more.extend(&ranges[1..]);
        None
    }

    /// Takes `bytes` from the front and calls `leave` for each range that is used up. Returns the list if it is no
    /// longer used.
    #[inline]
    pub(super) fn consume(&mut self, mut bytes: u32, mut leave: impl FnMut(Range)) -> Option<List> {
        self.pending -= bytes;
        while bytes > 0 {
            if bytes < self.first.len {
                self.first.offset += bytes;
                self.first.len -= bytes;
                return None;
            }
            bytes -= self.first.len;
            leave(self.first);
            self.first = match &mut self.more {
                None => NOTHING,
                Some(more) => more.pop_front().unwrap_or(NOTHING),
            };
        }
        self.more.take_if(|more| more.is_empty())
    }

    /// Sets the mark that says the queue is in the list of dirty ones; true if it has to be added there.
    #[inline]
    pub(super) fn becomes_dirty(&mut self) -> bool {
        let becomes = self.flags & (DIRTY | SHUT | CLOSED) == 0 && self.in_flight == 0;
        if becomes {
            self.flags |= DIRTY;
        }
        becomes
    }

    /// Whether it may be in the list of dirty ones.
    pub(super) fn is_dirty(&self) -> bool {
        self.flags & DIRTY != 0
    }

    /// Takes the mark off; true if there was one and there is something to send.
    pub(super) fn take_dirty(&mut self) -> bool {
        let was = self.flags & DIRTY != 0;
        self.flags &= !DIRTY;
        was && self.has_open()
    }

    /// Nothing is sent from here on, or is again.
    pub(super) fn set_shut(&mut self, is_shut: bool) {
        match is_shut {
            true => self.flags |= SHUT,
            false => self.flags &= !SHUT,
        }
    }

    /// Whether nothing is sent.
    pub(super) fn is_shut(&self) -> bool {
        self.flags & SHUT != 0
    }

    /// Whether a send can be started: none is in flight, and there is something that may go out.
    #[inline]
    pub(super) fn has_open(&self) -> bool {
        self.pending > 0 && self.in_flight == 0 && self.flags & (SHUT | CLOSED) == 0
    }

    /// Whether there are gates.
    #[inline]
    pub(super) fn is_gated(&self) -> bool {
        self.flags & GATED != 0
    }

    /// Notes how many bytes lie before the first gate, if there is one.
    pub(super) fn note_gate(&mut self, front: Option<u32>) {
        self.flags &= !(GATED | CLOSED);
        self.flags |= match front {
            None => 0,
            Some(0) => GATED | CLOSED,
            Some(_) => GATED,
        };
    }

    /// A send of the first `bytes` starts. All before `end` is whole packets.
    pub(super) fn start(&mut self, bytes: u32, end: u32, now_s: u32) {
        self.in_flight = bytes;
        self.since_s = now_s;
        if bytes == end {
            self.flags |= WHOLE;
        }
    }

    /// The send in flight has made progress.
    pub(super) fn touch(&mut self, now_s: u32) {
        self.since_s = now_s;
    }

    /// Whether `written` bytes of the send in flight end with a whole packet for sure.
    pub(super) fn ends_whole(&self, written: u32) -> bool {
        written == self.pending || (written == self.in_flight && self.flags & WHOLE != 0)
    }

    /// The send in flight is over; true if it had been asked to be cancelled.
    pub(super) fn finish(&mut self) -> bool {
        self.in_flight = 0;
        let cancelled = self.flags & CANCELLED != 0;
        self.flags &= !(CANCELLED | WHOLE | STUCK);
        cancelled
    }

    /// Notes that the send in flight is to be cancelled; true the first time.
    pub(super) fn cancel(&mut self) -> bool {
        let first = self.flags & CANCELLED == 0;
        self.flags |= CANCELLED;
        first
    }

    /// Whether dropping messages has been tried in vain since the last send.
    pub(super) fn is_stuck(&self) -> bool {
        self.flags & STUCK != 0
    }

    /// Notes that it has.
    pub(super) fn set_stuck(&mut self) {
        self.flags |= STUCK;
    }

    /// Whether messages that set a topic alias have to be kept.
    pub(super) fn keeps_aliases(&self) -> bool {
        self.flags & ALIASES != 0
    }

    /// From here on they have to be.
    pub(super) fn keep_aliases(&mut self) {
        self.flags |= ALIASES;
    }

    /// Back to the state of a queue that was never used, but for the mark of being in the list of dirty ones: there it finds an
    /// empty queue, or a new owner's output, and both are fine.
    pub(super) fn clear(&mut self, leave: impl FnMut(Range)) -> Option<List> {
        let list = self.consume(self.pending, leave);
        *self = Queue {
            flags: self.flags & DIRTY,
            ..Queue::default()
        };
        list
    }
}
