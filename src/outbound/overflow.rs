//! The slow-consumer policy on a queue: which bytes of it are whole QoS 0 messages, and dropping the oldest of them.
//!
//! Packets describe themselves: the type and the flags are in the first byte, the length follows. Walking a queue
//! happens only where a socket took less than it was given, or a bound is reached.

use super::blob::Blobs;
use super::gates::Span;
use super::queue::Queue;
use super::range::{self, Range};
use crate::limits;

/// What the slow-consumer policy took from a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Whole QoS 0 messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Walks the packets of a list of ranges.
struct Walk<'a> {
    blobs: &'a Blobs,
    ranges: &'a [Range],
    /// The range and the offset in it where the next packet starts.
    index: usize,
    offset: u32,
}

impl<'a> Walk<'a> {
    /// From the first byte on.
    fn new(blobs: &'a Blobs, ranges: &'a [Range]) -> Self {
        Walk {
            blobs,
            ranges,
            index: 0,
            offset: 0,
        }
    }

    /// The byte `ahead` of the position.
    fn byte(&self, ahead: u32) -> Option<u8> {
        let mut offset = self.offset + ahead;
        for range in self.ranges.get(self.index..)? {
            if offset < range.len {
                return self
                    .blobs
                    .bytes(range.blob, range.offset + offset, 1)
                    .first()
                    .copied();
            }
            offset -= range.len;
        }
        None
    }

    /// First byte and length of the packet at the position.
    fn packet(&self) -> Option<(u8, u32)> {
        let first = self.byte(0)?;
        let mut remaining = 0u32;
        for position in 0..4 {
            let byte = self.byte(1 + position)?;
            remaining |= u32::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Some((first, remaining + 2 + position));
            }
        }
        None
    }

    /// Whether the MQTT 5 PUBLISH with QoS 0 at the position, of `len` bytes, sets a topic alias: it has a topic name, and
    /// an alias is the first of its properties.
    fn sets_alias(&self, len: u32) -> bool {
        let is_long = |&position: &u32| self.byte(position).is_some_and(|byte| byte & 0x80 != 0);
        let topic = 2 + (1..4).take_while(is_long).count() as u32;
        let (Some(high), Some(low)) = (self.byte(topic), self.byte(topic + 1)) else {
            return false;
        };
        let topic_len = u32::from(high) << 8 | u32::from(low);
        let properties = topic + 2 + topic_len;
        let property =
            1 + properties + (properties..properties + 3).take_while(is_long).count() as u32;
        topic_len > 0
            && property < len
            && self.byte(property) == Some(TOPIC_ALIAS)
            && self.byte(properties) != Some(0)
    }

    /// Moves on by `bytes` and hands what was passed to `take`, in pieces.
    fn advance(&mut self, mut bytes: u32, mut take: impl FnMut(Range)) {
        while bytes > 0 {
            let Some(range) = self.ranges.get(self.index) else {
                return;
            };
            let step = bytes.min(range.len - self.offset);
            take(Range {
                blob: range.blob,
                offset: range.offset + self.offset,
                len: step,
            });
            bytes -= step;
            self.offset += step;
            if self.offset == range.len {
                self.index += 1;
                self.offset = 0;
            }
        }
    }
}

/// Bytes of a packet that are still to be sent when the socket has taken `written` bytes from the front.
pub(super) fn skip_after(blobs: &Blobs, queue: &Queue, written: u32) -> u32 {
    if written <= queue.skip() {
        return queue.skip() - written;
    }
    let ranges: Vec<Range> = queue.ranges().collect();
    let mut walk = Walk::new(blobs, &ranges);
    let mut position = queue.skip();
    walk.advance(position, |_| ());
    while position < written {
        let Some((_, len)) = walk.packet() else {
            return 0;
        };
        walk.advance(len, |_| ());
        position += len;
    }
    position - written
}

/// See `Outbound::parts`.
pub(super) fn parts(blobs: &Blobs, queue: &Queue, parts: &mut Vec<u32>) {
    let in_flight = queue.in_flight();
    let ranges: Vec<Range> = queue.ranges().collect();
    let mut walk = Walk::new(blobs, &ranges);
    let mut part = queue.skip();
    let mut position = 0;
    while position < in_flight {
        if part == 0 {
            // What cannot be read as packets is left together.
            part = walk.packet().map_or(in_flight, |(_, len)| len);
        }
        walk.advance(part, |_| ());
        let here = part.min(in_flight - position);
        parts.push(here);
        position += here;
        part = 0;
    }
}

/// See `Outbound::packets`.
pub(super) fn packets(blobs: &Blobs, queue: &Queue) -> u64 {
    let ranges: Vec<Range> = queue.ranges().collect();
    let mut walk = Walk::new(blobs, &ranges);
    walk.advance(queue.skip(), |_| ());
    let (mut seen, mut bytes) = (0, 0u64);
    while seen < limits::LAG_PACKETS_SEEN
        && let Some((_, len)) = walk.packet()
    {
        walk.advance(len, |_| ());
        (seen, bytes) = (seen + 1, bytes + u64::from(len));
    }
    let all = u64::from(queue.pending() - queue.skip());
    match bytes {
        0 => 0,
        _ => (all * seen).div_ceil(bytes),
    }
}

/// Whether a packet with this first byte is a PUBLISH with QoS 0.
fn is_droppable(first: u8) -> bool {
    first & 0xf6 == 0x30
}

/// The identifier of that property.
const TOPIC_ALIAS: u8 = 35;

/// What is left of a queue.
pub(super) struct Kept {
    /// Its ranges before and now, if any message was dropped.
    pub ranges: Option<(Vec<Range>, Vec<Range>)>,
    /// Where in the queue the messages were, in order, if it has gates.
    pub gone: Vec<Span>,
    /// What was dropped.
    pub dropped: Dropped,
}

/// Adds a span to a list, as a longer last one where it can.
fn add_span(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if last.1 == span.0 => last.1 = span.1,
        _ => spans.push(span),
    }
}

/// Says which ranges are left without the oldest QoS 0 messages, until at most `keep` bytes are pending or no such message is
/// left. What is in flight, or partly sent, stays.
pub(super) fn drop_oldest(blobs: &Blobs, queue: &mut Queue, keep: u32) -> Kept {
    let mut dropped = Dropped::default();
    if queue.is_stuck() {
        // A walk costs as much as the queue is long: one that brings nothing is not repeated for every message.
        return Kept {
            ranges: None,
            gone: Vec::new(),
            dropped,
        };
    }
    let ranges: Vec<Range> = queue.ranges().collect();
    let mut kept: Vec<Range> = Vec::with_capacity(ranges.len());
    let mut gone = Vec::new();
    let mut walk = Walk::new(blobs, &ranges);
    let mut position = queue.skip();
    let mut pending = queue.pending();
    walk.advance(position, |range| range::add(&mut kept, range));
    while pending > keep
        && let Some((first, len)) = walk.packet()
    {
        let is_last = position + len >= queue.pending();
        let goes = position >= queue.in_flight() && is_droppable(first) && !is_last;
        if goes && !(queue.keeps_aliases() && walk.sets_alias(len)) {
            walk.advance(len, |_| ());
            dropped.messages += 1;
            dropped.bytes += u64::from(len);
            pending -= len;
            if queue.is_gated() {
                add_span(&mut gone, (position, position + len));
            }
        } else {
            walk.advance(len, |range| range::add(&mut kept, range));
        }
        position += len;
    }
    if pending > keep {
        queue.set_stuck();
    }
    let has_dropped = dropped.messages > 0;
    if has_dropped {
        // What is kept behind the last one that went is not looked at.
        let rest = queue.pending().saturating_sub(position);
        walk.advance(rest, |range| range::add(&mut kept, range));
    }
    Kept {
        ranges: has_dropped.then_some((ranges, kept)),
        gone,
        dropped,
    }
}
