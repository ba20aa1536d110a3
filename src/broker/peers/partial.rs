//! The start of a packet, kept until the rest has come: charged by what it takes, and given up when the rest is too slow.
//!
//! Memory grows with what has come, not with what the length field announces. Until CONNECT is accepted, be it that it waits for
//! its password (`on_verified`), connections have a small part of the account, where the largest gives way to others, and of
//! those of about one size the oldest; who is established gives way when it holds most (`shares`).

use std::collections::BTreeSet;

use crate::broker::timers::TICK_MS;
use crate::ids::ConnId;
use crate::limits;

/// See the module.
#[derive(Debug)]
pub(crate) struct Partial {
    /// What has come.
    pub bytes: Vec<u8>,
    /// Tick at which the first of it came.
    pub since: u32,
    /// Where it stands among those of which CONNECT has not come whole.
    rank: Option<Rank>,
}

/// Where such a connection stands: those that go first are first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Of its size as a number: the larger, the fewer.
    zeros: u32,
    since: u32,
    conn: u32,
    bytes: usize,
}

/// Connections of which CONNECT has not come whole, or waits for its password: the largest first, and of those of about one
/// size the oldest.
#[derive(Debug, Default)]
pub(crate) struct Beginners {
    order: BTreeSet<Rank>,
    bytes: u64,
}

impl Beginners {
    /// The packet of a connection has come to be so large.
    pub(crate) fn put(&mut self, conn: ConnId, known: &mut Option<Rank>, since: u32, bytes: usize) {
        let rank = Rank {
            zeros: bytes.leading_zeros(),
            since,
            conn: conn.0,
            bytes,
        };
        if let Some(old) = known.replace(rank) {
            self.take(Some(old));
        }
        self.bytes += bytes as u64;
        self.order.insert(rank);
    }

    /// A connection no longer is one of them.
    pub(crate) fn take(&mut self, known: Option<Rank>) {
        if let Some(rank) = known {
            self.order.remove(&rank);
            self.bytes -= rank.bytes as u64;
        }
    }

    /// The packet of a connection has grown.
    pub(crate) fn rank(&mut self, conn: ConnId, partial: &mut Partial) {
        let bytes = partial.memory();
        self.put(conn, &mut partial.rank, partial.since, bytes);
    }

    /// The packet of a connection that is no more is given up. Returns the bytes that were charged for it.
    pub(crate) fn give_up(&mut self, partial: &Partial) -> usize {
        self.take(partial.rank);
        partial.memory()
    }

    /// Who goes if they may have so many bytes.
    pub(crate) fn first_beyond(&self, bytes: u64) -> Option<ConnId> {
        let first = self.order.first().filter(|_| self.bytes > bytes);
        first.map(|rank| ConnId(rank.conn))
    }

    /// Whether a connection is one of them.
    #[cfg(test)]
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.order.iter().any(|rank| rank.conn == conn.0)
    }

    /// Bytes of memory: what a set of that size takes, about.
    pub(crate) fn memory(&self) -> usize {
        self.order.len() * 2 * size_of::<Rank>()
    }
}

impl Partial {
    /// Nothing yet, since this tick.
    pub(crate) fn new(since: u32) -> Self {
        Partial {
            bytes: Vec::new(),
            since,
            rank: None,
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// Adds bytes. Large packets grow by a quarter, so that little of the memory stands empty.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if len + bytes.len() > capacity && len >= limits::PARTIAL_BYTES_LARGE {
            self.bytes.reserve_exact(bytes.len().max(len / 4));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether it comes so slowly that it is not worth its place.
    pub(crate) fn is_too_slow(&self, now_ms: u64) -> bool {
        let since_ms = u64::from(self.since) * TICK_MS;
        let late_ms = now_ms.saturating_sub(since_ms + limits::PACKET_MS_MAX);
        late_ms > 0 && (self.bytes.len() as u64) < late_ms * limits::PACKET_BYTES_PER_S_MIN / 1000
    }
}
