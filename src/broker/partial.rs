//! The start of a packet, kept until the rest has come: charged by what it takes, and given up when the rest is too slow.
//!
//! Memory grows with what has come, not with what the length field announces.

use super::Broker;
use super::clients::{Clients, Stage};
use super::settings::LogKind;
use super::timers::{TICK_MS, tick};
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
        self.settings.max_packet_size.min(self.packet_memory)
    }

    /// Takes what is kept of a packet.
    pub fn take_partial(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let partial = self.conns[conn.index()].partial.take()?;
        self.lease.give(Account::Packets, partial.memory() as u64);
        Some(partial.bytes)
    }
}

impl Broker {
    /// Keeps the start of a packet, or more of it.
    pub(super) fn keep_partial(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        let partial = &mut self.clients.conns[conn.index()].partial;
        let before = partial.as_ref().map_or(0, |partial| partial.memory());
        let partial = partial.get_or_insert_with(|| {
            Box::new(Partial {
                bytes: Vec::new(),
                since: tick(now_ms),
            })
        });
        partial.extend(bytes);
        let (now, is_too_slow) = (partial.memory(), partial.is_too_slow(now_ms));
        let more = (now - before) as u64;
        let lease = &mut self.clients.lease;
        let has_room = lease.take(Account::Packets, more);
        if !has_room {
            lease.force(Account::Packets, more);
        }
        // What is held is not the client's delay.
        if is_too_slow && !self.is_held(conn) {
            return self.give_up_packet(now_ms, conn);
        }
        // A small one has its place as long as there is any.
        let max = self.clients.lease.threshold(Account::Packets);
        if !has_room || now as u64 > max.max(limits::PARTIAL_BYTES_LARGE as u64) {
            self.clients.counters.packets_refused += 1;
            self.clients.log_refusal(now_ms, conn, |client| {
                format!("{client} is closed: no memory is left for its packet.")
            });
            self.disconnect(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
        }
    }

    /// Closes a connection whose packet does not come to an end.
    fn give_up_packet(&mut self, now_ms: u64, conn: ConnId) {
        self.clients.counters.packets_too_slow += 1;
        self.clients.log_client(LogKind::Notice, conn, |client| {
            format!("Client {client} sends a packet too slowly, closing.")
        });
        self.disconnect(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
    }

    /// Closes connections whose packets do not come to an end.
    pub(super) fn close_slow_packets(&mut self, now_ms: u64) {
        if self.clients.lease.held(Account::Packets) == 0 {
            return;
        }
        for index in 0..self.clients.conns.len() {
            let Some(entry) = self.clients.conns.get(index) else {
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
