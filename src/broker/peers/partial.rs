//! The start of a packet, kept until the rest has come: charged by what it takes, and given up when the rest is too slow.
//!
//! Memory grows with what has come, not with what the length field announces. Until CONNECT is accepted, be it that it waits for
//! its password (`on_verified`), connections have a small part of the account, where the largest gives way to others, and of
//! those of about one size the oldest; who is established gives way when it holds most (`shares`).

use std::collections::BTreeSet;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::effect::CloseHow;
use crate::broker::peers::conn::Stage;
use crate::broker::settings::LogKind;
use crate::broker::timers::{TICK_MS, tick};
use crate::budget::Account;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::ReasonCode;

/// See the module.
#[derive(Debug)]
pub struct Partial {
    /// What has come.
    pub bytes: Vec<u8>,
    /// Tick at which the first of it came.
    pub since: u32,
    /// Where it stands among those of which CONNECT has not come whole.
    place: Option<Place>,
}

/// Where such a connection stands: those that go first are first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Of its size as a number: the larger, the fewer.
    zeros: u32,
    since: u32,
    conn: u32,
    bytes: usize,
}

/// Connections of which CONNECT has not come whole, or waits for its password: the largest first, and of those of about one
/// size the oldest.
#[derive(Debug, Default)]
pub struct Beginners {
    order: BTreeSet<Place>,
    bytes: u64,
}

impl Beginners {
    /// The packet of a connection has come to be so large.
    pub fn put(&mut self, conn: ConnId, known: &mut Option<Place>, since: u32, bytes: usize) {
        let place = Place {
            zeros: bytes.leading_zeros(),
            since,
            conn: conn.0,
            bytes,
        };
        if let Some(old) = known.replace(place) {
            self.take(Some(old));
        }
        self.bytes += bytes as u64;
        self.order.insert(place);
    }

    /// A connection no longer is one of them.
    pub fn take(&mut self, known: Option<Place>) {
        if let Some(place) = known {
            self.order.remove(&place);
            self.bytes -= place.bytes as u64;
        }
    }

    /// The packet of a connection that is no more is given up. Returns the bytes that were charged for it.
    pub fn give_up(&mut self, partial: &Partial) -> usize {
        self.take(partial.place);
        partial.memory()
    }

    /// Who goes if they may have so many bytes.
    fn first_beyond(&self, bytes: u64) -> Option<ConnId> {
        let first = self.order.first().filter(|_| self.bytes > bytes);
        first.map(|place| ConnId(place.conn))
    }

    /// Whether a connection is one of them.
    #[cfg(test)]
    pub fn knows(&self, conn: ConnId) -> bool {
        self.order.iter().any(|place| place.conn == conn.0)
    }

    /// Bytes of memory: what a set of that size takes, about.
    pub fn memory(&self) -> usize {
        self.order.len() * 2 * size_of::<Place>()
    }
}

impl Partial {
    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// Adds bytes. Large packets grow by a quarter, so that little of the memory stands empty.
    fn extend(&mut self, bytes: &[u8]) {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if len + bytes.len() > capacity && len >= limits::PARTIAL_BYTES_LARGE {
            self.bytes.reserve_exact(bytes.len().max(len / 4));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether it comes so slowly that it is not worth its place.
    fn is_too_slow(&self, now_ms: u64) -> bool {
        let since_ms = u64::from(self.since) * TICK_MS;
        let late_ms = now_ms.saturating_sub(since_ms + limits::PACKET_MS_MAX);
        late_ms > 0 && (self.bytes.len() as u64) < late_ms * limits::PACKET_BYTES_PER_S_MIN / 1000
    }
}

impl Clients {
    /// Bytes of the largest packet that clients may send: as configured, and no more than one of them may hold.
    pub fn packet_bytes_max(&self) -> u32 {
        self.desk
            .settings
            .max_packet_size
            .min(self.memory.packet_memory)
    }

    /// Takes what is kept of a packet.
    pub fn take_partial(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let partial = self.peers.conns[conn.index()].partial.take()?;
        self.peers.beginners.take(partial.place);
        self.memory
            .lease
            .give(Account::Packets, partial.memory() as u64);
        Some(partial.bytes)
    }
}

impl Broker {
    /// Keeps the start of a packet, or more of it.
    pub(in crate::broker) fn keep_partial(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        let before = entry.partial.as_ref().map_or(0, |partial| partial.memory());
        let partial = entry.partial.get_or_insert_with(|| {
            Box::new(Partial {
                bytes: Vec::new(),
                since: tick(now_ms),
                place: None,
            })
        });
        partial.extend(bytes);
        let more = (partial.memory() - before) as u64;
        let is_too_slow = partial.is_too_slow(now_ms);
        self.clients.memory.lease.force(Account::Packets, more);
        if entry.stage == Stage::Connecting {
            let bytes = partial.memory();
            let place = &mut partial.place;
            self.clients
                .peers
                .beginners
                .put(conn, place, partial.since, bytes);
            return self.shorten_beginners(now_ms);
        }
        // What is held is not the client's delay.
        if is_too_slow && !self.is_held(conn) {
            return self.give_up_packet(now_ms, conn);
        }
        if !self.clients.memory.is_within(Account::Packets, 0) {
            self.share_packets(now_ms, conn, more);
        }
    }

    /// Closes those that are not let in yet and too much together.
    pub(in crate::broker) fn shorten_beginners(&mut self, now_ms: u64) {
        let limit = self.clients.memory.lease.pool().limit(Account::Packets);
        let shards = u64::from(self.clients.desk.shards);
        let share = limit / limits::PACKETS_BEGINNERS_DIVISOR / shards;
        // However little there is, the largest CONNECT can come while nobody else's does.
        let most = share.max(2 * u64::from(limits::CONNECT_BYTES_MAX));
        while let Some(first) = self.clients.peers.beginners.first_beyond(most) {
            self.clients.desk.counters.packets_refused += 1;
            self.clients.log_refusal(now_ms, first, |client| {
                format!("{client} is closed: its CONNECT takes most of the memory for those that are not let in yet.")
            });
            self.shut(now_ms, first, CloseHow::Now);
        }
    }

    /// Closes a connection whose packet does not come to an end.
    fn give_up_packet(&mut self, now_ms: u64, conn: ConnId) {
        self.clients.desk.counters.packets_too_slow += 1;
        self.clients.log_client(LogKind::Notice, conn, |client| {
            format!("{client} sends a packet too slowly.")
        });
        self.disconnect(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
    }

    /// Closes connections whose packets do not come to an end.
    pub(in crate::broker) fn close_slow_packets(&mut self, now_ms: u64) {
        if self.clients.memory.lease.held(Account::Packets) == 0 {
            return;
        }
        for index in 0..self.clients.peers.conns.len() {
            let Some(entry) = self.clients.peers.conns.get(index) else {
                continue;
            };
            let conn = ConnId(index as u32);
            let is_slow = entry.stage == Stage::Established
                && (entry.partial.as_ref()).is_some_and(|partial| partial.is_too_slow(now_ms));
            if is_slow && !self.is_held(conn) {
                self.give_up_packet(now_ms, conn);
            }
        }
    }
}
