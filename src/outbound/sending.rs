//! From the queue of a connection to its socket: what a send offers, and what is left of it when it is over.

use crate::ids::ConnId;
use crate::limits;

use super::{Outbound, Slice, overflow};

/// What is left of a connection's output when a send is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// What had come later than what was offered.
    Later,
    /// Something that was offered, and that the socket has not taken.
    Offered,
}

impl Outbound {
    /// Marks what is queued for a connection as in flight and adds where it is to `slices`: at most
    /// `limits::SEND_RANGES_MAX` of them, at most `max` bytes, and nothing behind a closed gate. Returns the bytes; 0 when there
    /// is nothing, or a send is in flight already, or it is kept in.
    pub fn gather(
        &mut self,
        conn: ConnId,
        now_s: u32,
        max: usize,
        slices: &mut Vec<Slice>,
    ) -> usize {
        let index = conn.index();
        if !self.queues[index].has_open() {
            return 0;
        }
        if self.queues[index].is_fragmented() {
            self.join(conn);
            if !self.queues[index].has_open() {
                return 0;
            }
        }
        let queue = &self.queues[index];
        let end = match queue.is_gated() {
            true => self.gates.front(conn).unwrap_or(0),
            false => queue.pending(),
        };
        let max = max.min(end as usize);
        let blobs = &self.blobs;
        let mut bytes = 0usize;
        for range in self.queues[index].ranges().take(limits::SEND_RANGES_MAX) {
            let take = range.len.min((max - bytes) as u32);
            slices.push(blobs.slice(range.blob, range.offset, take));
            bytes += take as usize;
            if bytes == max {
                break;
            }
        }
        self.queues[index].start(bytes as u32, end, now_s);
        self.in_flight += 1;
        bytes
    }

    /// Copies what is in flight for a connection: what `gather` pointed at, for those who may not look there.
    pub fn gathered_into(&self, conn: ConnId, out: &mut Vec<u8>) {
        let queue = &self.queues[conn.index()];
        let mut rest = queue.in_flight() as usize;
        for range in queue.ranges() {
            let bytes = self.blobs.bytes(range.blob, range.offset, range.len);
            let take = rest.min(bytes.len());
            out.extend_from_slice(&bytes[..take]);
            rest -= take;
            if rest == 0 {
                return;
            }
        }
    }

    /// Whether something waits behind what the send in flight has.
    pub fn has_more(&self, conn: ConnId) -> bool {
        let queue = &self.queues[conn.index()];
        queue.pending() > queue.in_flight()
    }

    /// The send in flight is over and the socket took `written` bytes of it. Returns what is left to be sent.
    pub fn sent(&mut self, conn: ConnId, written: usize) -> Rest {
        let index = conn.index();
        let offered = self.queues[index].in_flight() as usize;
        if offered == 0 {
            return Rest::Nothing;
        }
        self.in_flight -= 1;
        let written = written.min(offered) as u32;
        let skip = match self.queues[index].ends_whole(written) {
            true => 0,
            false => overflow::skip_after(&self.blobs, &self.queues[index], written),
        };
        self.queues[index].set_skip(skip);
        self.pending -= u64::from(written);
        let blobs = &mut self.blobs;
        let was_cancelled = self.queues[index].finish();
        if let Some(list) = self.queues[index].consume(written, |range| blobs.leave(range.blob)) {
            self.keep_spare(list);
        }
        if self.queues[index].is_gated() {
            self.gates.pass(conn, written);
            self.look_at_gates(conn);
        }
        if was_cancelled {
            self.rescue(conn, |blobs, range| blobs.is_evicted(range.blob));
        }
        if self.queues[index].is_empty() {
            return Rest::Nothing;
        }
        self.mark_dirty(conn);
        match written as usize == offered {
            true => Rest::Later,
            false => Rest::Offered,
        }
    }

    /// The send in flight goes on: some of it has been taken.
    pub fn progressed(&mut self, conn: ConnId, now_s: u32) {
        self.queues[conn.index()].touch(now_s);
    }

    /// Seconds (of `gather`'s clock) since which a connection's send in flight has made no progress.
    pub fn in_flight_since(&self, conn: ConnId) -> Option<u32> {
        let queue = self.queues.get(conn.index())?;
        (queue.in_flight() > 0).then(|| queue.since_s())
    }

    /// Sends in flight could make no progress for so many seconds until now.
    pub fn forgive(&mut self, now_s: u32, lost_s: u32) {
        for queue in self.queues.iter_mut() {
            let since_s = queue.since_s().saturating_add(lost_s);
            queue.touch(since_s.min(now_s));
        }
    }
}
