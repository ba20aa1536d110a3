//! The outbound log: every outgoing packet is encoded once into shared memory, and a connection's queue is a short
//! list of byte ranges of it (docs/decisions/0301).
//!
//! Owns the memory that sockets send from, and the queues. Knows connections only by their number and packets only
//! by their first byte and length. One shard's thread runs it.
//!
//! Invariants:
//! - a blob is freed only when no range refers to it (`users` counts ranges, not messages);
//! - what `gather` returned stays where it is until `sent` is called for that connection;
//! - `pending` of a queue is the sum of its ranges' lengths, and `in_flight <= pending`;
//! - marks of a queue say whether it has gates, and whether the first is at its front; gates lie between packets.

mod blob;
mod gates;
mod overflow;
mod queue;
mod range;
mod sending;
#[cfg(test)]
mod tests;

pub use blob::Slice;
pub use overflow::Dropped;
pub use range::Range;
pub use sending::Rest;

use blob::{BlobId, Blobs};
use gates::Gates;
use queue::Queue;

use crate::ids::ConnId;
use crate::limits;
use crate::table::Table;
use bytes::Bytes;

/// The log, the queues of all connections of a shard, and who of them has something to send.
pub struct Outbound {
    blobs: Blobs,
    queues: Table<Queue>,
    gates: Gates,
    /// Connections with output and no send in flight, each once.
    dirty: Vec<ConnId>,
    /// Connections whose send in flight holds a segment that is wanted back.
    cancel: Vec<ConnId>,
    /// Range lists of queues that have been emptied, for reuse.
    spare: Vec<queue::List>,
    /// Bytes queued for all connections.
    pending: u64,
    /// How many sends are in flight.
    in_flight: usize,
    /// Bytes up to which one connection may get copies of its own when it lags behind the window.
    private_max: u32,
    /// What that has cost in messages since `take_dropped`.
    dropped: Dropped,
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbound {
    /// An empty log with no queue.
    pub fn new() -> Self {
        Outbound {
            blobs: Blobs::new(),
            queues: Table::new(),
            gates: Gates::new(),
            dirty: Vec::new(),
            cancel: Vec::new(),
            spare: Vec::new(),
            pending: 0,
            in_flight: 0,
            private_max: limits::OUTBOUND_BYTES_MAX,
            dropped: Dropped::default(),
        }
    }

    /// Makes an empty queue for a new connection.
    pub fn open(&mut self, conn: ConnId) {
        self.queues.ensure(conn.index(), Queue::default);
        debug_assert!(self.queues[conn.index()].is_new());
    }

    /// Forgets everything of a connection. Nothing of it may be in flight any more; where something is all the same, as in a
    /// caller's error, it is no longer: the number's next owner begins with nothing.
    pub fn close(&mut self, conn: ConnId) {
        let queue = &mut self.queues[conn.index()];
        debug_assert_eq!(queue.in_flight(), 0);
        self.in_flight -= usize::from(queue.in_flight() > 0);
        self.pending -= u64::from(queue.pending());
        if queue.is_gated() {
            self.gates.forget(conn);
        }
        let blobs = &mut self.blobs;
        if let Some(list) = queue.clear(|range| blobs.leave(range.blob)) {
            self.keep_spare(list);
        }
    }

    /// Appends `len` bytes, written by `write`, to the log. The range is good until `settle`, and longer in queues.
    #[inline]
    pub fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Range {
        if len > self.blobs.room() {
            self.make_room(len);
        }
        let (blob, offset) = self.blobs.append(len, write);
        Range {
            blob,
            offset,
            len: len as u32,
        }
    }

    /// Appends these bytes to the log.
    pub fn append_bytes(&mut self, bytes: &[u8]) -> Range {
        self.append(bytes.len(), |out| out.copy_from_slice(bytes))
    }

    /// Refers to a payload where it is. The range is good until `settle`, and longer in queues.
    pub fn reference(&mut self, payload: Bytes) -> Range {
        let len = payload.len() as u32;
        Range {
            blob: self.blobs.reference(payload),
            offset: 0,
            len,
        }
    }

    /// Ends the time in which ranges outside of queues are good: memory that no queue refers to becomes free.
    #[inline]
    pub fn settle(&mut self) {
        self.blobs.settle();
    }

    /// Queues a range for a connection and returns the bytes that are then pending for it.
    #[inline]
    pub fn push(&mut self, conn: ConnId, range: Range) -> u32 {
        let queue = &mut self.queues[conn.index()];
        self.pending += u64::from(range.len);
        if !queue.append(range) {
            return self.push_new(conn, range);
        }
        if queue.becomes_dirty() {
            self.dirty.push(conn);
        }
        queue.pending()
    }

    /// As `push`, if with `len` more bytes at most `max` are pending for the connection. Otherwise nothing is queued, and the
    /// answer is false.
    #[inline]
    pub fn push_below(&mut self, conn: ConnId, range: Range, len: u32, max: u32) -> bool {
        let queue = &mut self.queues[conn.index()];
        if u64::from(queue.pending()) + u64::from(len) > u64::from(max) {
            return false;
        }
        self.pending += u64::from(range.len);
        if !queue.append(range) {
            self.push_new(conn, range);
        } else if queue.becomes_dirty() {
            self.dirty.push(conn);
        }
        true
    }

    /// The part of `push` that adds a range to the list.
    fn push_new(&mut self, conn: ConnId, range: Range) -> u32 {
        self.blobs.enter(range.blob);
        let spare = &mut self.spare;
        let queue = &mut self.queues[conn.index()];
        queue.push(range, || spare.pop().unwrap_or_default());
        let pending = queue.pending();
        if queue.len() > limits::QUEUE_RANGES_MAX {
            self.shorten(conn);
        }
        self.mark_dirty(conn);
        pending
    }

    /// Makes few ranges of many. Large ones are left alone where that is enough: a payload that many share stays shared.
    #[cold]
    fn shorten(&mut self, conn: ConnId) {
        self.make_private(conn, |_, range| range.len < limits::QUEUE_RANGE_BYTES_SMALL);
        if self.queues[conn.index()].len() > limits::QUEUE_RANGES_MAX / 2 {
            self.make_private(conn, |_, _| true);
        }
    }

    #[inline]
    fn mark_dirty(&mut self, conn: ConnId) {
        if self.queues[conn.index()].becomes_dirty() {
            self.dirty.push(conn);
        }
    }

    /// Bytes pending for a connection, those in flight included.
    #[inline]
    pub fn pending(&self, conn: ConnId) -> u32 {
        self.queues[conn.index()].pending()
    }

    /// Bytes pending for all connections.
    pub fn pending_total(&self) -> u64 {
        self.pending
    }

    /// Bytes of memory that the log, the private copies (referenced payloads included) and the gates hold.
    pub fn memory(&self) -> usize {
        self.blobs.memory() + self.gates.memory()
    }

    /// Whether a send is in flight for a connection.
    pub fn is_in_flight(&self, conn: ConnId) -> bool {
        self.queues[conn.index()].in_flight() > 0
    }

    /// How many sends are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A connection with output and no send in flight; each is returned once until it has new output.
    pub fn next_dirty(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.dirty.pop() {
            if self.queues[conn.index()].take_dirty() {
                return Some(conn);
            }
        }
        None
    }

    /// A connection whose send in flight should be cancelled, because it holds memory that is wanted back.
    pub fn next_cancel(&mut self) -> Option<ConnId> {
        self.cancel.pop()
    }

    /// What is queued for a connection, of which nothing is in flight, is not sent before `let_out`.
    pub fn keep_in(&mut self, conn: ConnId) {
        debug_assert!(!self.is_in_flight(conn));
        self.queues[conn.index()].set_shut(true);
    }

    /// What is queued for a connection is sent from here on.
    pub fn let_out(&mut self, conn: ConnId) {
        self.queues[conn.index()].set_shut(false);
        if !self.queues[conn.index()].is_empty() {
            self.mark_dirty(conn);
        }
    }

    /// Whether what is queued for a connection is not sent yet.
    pub fn is_kept_in(&self, conn: ConnId) -> bool {
        self.queues[conn.index()].is_shut()
    }

    /// What is queued for a connection from here on goes out only when all is durable up to the number `after`. What is queued already ends
    /// with a whole packet. Numbers never become less over all connections; one that does counts as the one before it.
    pub fn gate(&mut self, conn: ConnId, after: u64) {
        let pending = self.queues[conn.index()].pending();
        self.gates.add(conn, pending, after);
        self.look_at_gates(conn);
    }

    /// All up to this number is durable: gates open, and connections of which something may go out now become dirty.
    pub fn open_gates(&mut self, durable: u64) {
        self.gates.note_durable(durable);
        while let Some(conn) = self.gates.open() {
            self.look_at_gates(conn);
            self.mark_dirty(conn);
        }
    }

    fn look_at_gates(&mut self, conn: ConnId) {
        let front = self.gates.front(conn);
        self.queues[conn.index()].note_gate(front);
    }

    /// Connections with a queue have smaller numbers.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether no queue was ever opened.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn keep_spare(&mut self, list: queue::List) {
        if self.spare.len() < limits::SPARE_LISTS && list.capacity() <= 2 * limits::QUEUE_RANGES_MAX
        {
            self.spare.push(list);
        }
    }

    /// Copies many small ranges into one at the end of the log: one `send` of one range is cheaper than a `sendmsg`.
    fn join(&mut self, conn: ConnId) {
        let most = self.queues[conn.index()].pending() as usize;
        if most > self.blobs.room() {
            // This queue may lose messages by that.
            self.make_room(most);
        }
        let total = self.queues[conn.index()].pending() as usize;
        let joined = self.append(total, |_| ());
        let old: Vec<Range> = self.queues[conn.index()].ranges().collect();
        let mut at = joined.offset;
        for range in &old {
            self.blobs
                .copy_within(range.blob, range.offset, range.len, joined.blob, at);
            at += range.len;
        }
        self.rebuild(conn, &old, &[joined]);
    }

    /// Makes room for `len` more bytes in the log, by a new segment, and keeps the window: whoever still refers to the
    /// oldest segment gets a private copy, or is asked to cancel the send that does.
    #[cold]
    fn make_room(&mut self, len: usize) {
        self.blobs.rotate(len);
        while let Some(oldest) = self.blobs.evict() {
            match self.wanted_of(oldest) >= limits::SEGMENT_BYTES {
                true => self.blobs.pin(oldest),
                false => self.clear_segment(oldest),
            }
        }
        if let Some(pinned) = self.blobs.next_pinned() {
            self.look_at_pinned(pinned);
        }
    }

    /// Frees a pinned segment that few need by now.
    fn look_at_pinned(&mut self, pinned: BlobId) {
        if self.wanted_of(pinned) < limits::SEGMENT_BYTES / 2 {
            self.blobs.unpin(pinned);
            self.clear_segment(pinned);
        }
    }

    /// Bytes that queues refer to in a blob, each for itself: what copies of them would take.
    fn wanted_of(&self, blob: BlobId) -> usize {
        let ranges = self.queues.iter().flat_map(|queue| queue.ranges());
        ranges
            .filter(|range| range.blob == blob)
            .map(|range| range.len as usize)
            .sum()
    }

    /// Gives those who refer to a segment copies of their own, or asks to cancel the sends that do.
    fn clear_segment(&mut self, segment: BlobId) {
        for index in 0..self.queues.len() {
            let refers = |queue: &Queue| queue.ranges().any(|range| range.blob == segment);
            if !self.queues.get(index).is_some_and(refers) {
                continue;
            }
            let conn = ConnId(index as u32);
            self.rescue(conn, |_, range| range.blob == segment);
            if refers(&self.queues[index]) && self.queues[index].cancel() {
                self.cancel.push(conn);
            }
        }
    }

    /// As `make_private`, but for what is above the bound on copies: of that the oldest goes.
    fn rescue(&mut self, conn: ConnId, chosen: impl Fn(&Blobs, &Range) -> bool) {
        let queue = &self.queues[conn.index()];
        let (_, rest) = range::split(&queue.ranges().collect::<Vec<_>>(), queue.in_flight());
        let wanted: u32 = rest
            .iter()
            .filter(|range| chosen(&self.blobs, range))
            .map(|range| range.len)
            .sum();
        if wanted > self.private_max {
            let dropped = self.drop_oldest(conn, self.private_max);
            self.dropped.messages += dropped.messages;
            self.dropped.bytes += dropped.bytes;
        }
        self.make_private(conn, chosen);
    }

    /// Sets how much of the log is kept for those who lag before they get copies: half of so many bytes, but not more than
    /// `limits::SEGMENTS_WINDOW` segments.
    pub fn set_memory(&mut self, bytes: u64) {
        let segments = bytes / (2 * limits::SEGMENT_BYTES as u64);
        let most = limits::SEGMENTS_WINDOW as u64;
        self.blobs.set_window(segments.clamp(1, most) as usize);
    }

    /// Sets how many bytes of copies one connection may have.
    pub fn set_private_max(&mut self, bytes: u32) {
        self.private_max = bytes;
    }

    /// What was dropped because copies of it would have been too much, since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Bytes that are kept for a connection alone, or for few: what would be free without it, or a part of that.
    pub fn own_bytes(&self, conn: ConnId) -> u64 {
        let ranges = self.queues[conn.index()].ranges();
        let own = ranges.filter(|range| self.blobs.is_extra(range.blob));
        own.map(|range| u64::from(range.len)).sum()
    }

    /// Gives up what is kept for reuse, segments that few need, and queues of connections that there are not.
    pub fn trim(&mut self, is_there: impl Fn(ConnId) -> bool) {
        self.queues.trim(|index, queue| {
            !is_there(ConnId(index as u32)) && queue.is_empty() && !queue.is_dirty()
        });
        for _ in 0..self.blobs.pinned() {
            if let Some(pinned) = self.blobs.next_pinned() {
                self.look_at_pinned(pinned);
            }
        }
        self.blobs.trim();
        self.gates.trim();
        self.spare = Vec::new();
        self.dirty.shrink_to_fit();
    }

    /// Copies those ranges of a connection that are not in flight and for which `chosen` holds to memory of its own.
    fn make_private(&mut self, conn: ConnId, chosen: impl Fn(&Blobs, &Range) -> bool) {
        let queue = &self.queues[conn.index()];
        let old: Vec<Range> = queue.ranges().collect();
        let (in_flight, rest) = range::split(&old, queue.in_flight());
        let mut copy = Vec::new();
        for range in rest.iter().filter(|range| chosen(&self.blobs, range)) {
            copy.extend_from_slice(self.blobs.bytes(range.blob, range.offset, range.len));
        }
        if copy.is_empty() {
            return;
        }
        let mut ranges = in_flight;
        let blob = self.blobs.private(copy);
        let mut offset = 0;
        for range in rest {
            if chosen(&self.blobs, &range) {
                let len = range.len;
                range::add(&mut ranges, Range { blob, offset, len });
                offset += range.len;
            } else {
                ranges.push(range);
            }
        }
        self.rebuild(conn, &old, &ranges);
    }

    /// Gives a queue other ranges than it has.
    fn rebuild(&mut self, conn: ConnId, old: &[Range], new: &[Range]) {
        for range in new {
            self.blobs.enter(range.blob);
        }
        for range in old {
            self.blobs.leave(range.blob);
        }
        let spare = &mut self.spare;
        let list = self.queues[conn.index()].replace(new, || spare.pop().unwrap_or_default());
        if let Some(list) = list {
            self.keep_spare(list);
        }
    }

    /// From here on messages of a connection that set a topic alias are not dropped: later ones name the topic by it.
    pub fn keep_aliases(&mut self, conn: ConnId) {
        self.queues[conn.index()].keep_aliases();
    }

    /// Packets pending for a connection: as many as the length of the first ones makes likely.
    pub fn packets(&self, conn: ConnId) -> u64 {
        overflow::packets(&self.blobs, &self.queues[conn.index()])
    }

    /// Appends the lengths of the packets that are in flight for a connection, in order: the first may be the rest of one,
    /// the last the beginning of one. Their sum is what `gather` has returned.
    pub fn parts(&self, conn: ConnId, parts: &mut Vec<u32>) {
        overflow::parts(&self.blobs, &self.queues[conn.index()], parts);
    }

    /// Bytes at the front of what is pending that belong to a packet of which a part has been sent.
    pub fn rest_of_packet(&self, conn: ConnId) -> u32 {
        self.queues[conn.index()].skip()
    }

    /// Drops the oldest QoS 0 messages of a connection until at most `keep` bytes are pending, or no such message is
    /// left. What is in flight, or partly sent, stays.
    pub fn drop_oldest(&mut self, conn: ConnId, keep: u32) -> Dropped {
        let queue = &mut self.queues[conn.index()];
        let kept = overflow::drop_oldest(&self.blobs, queue, keep);
        if let Some((old, new)) = &kept.ranges {
            self.pending -= kept.dropped.bytes;
            if queue.is_gated() {
                self.gates.cut(conn, &kept.gone);
                self.look_at_gates(conn);
            }
            self.rebuild(conn, old, new);
        }
        kept.dropped
    }
}
