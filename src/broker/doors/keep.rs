//! The start of a packet is kept (`peers::partial`), or is not worth it any more.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::effect::CloseHow;
use crate::broker::peers::partial::Partial;
use crate::broker::peers::state::Stage;
use crate::broker::settings::LogKind;
use crate::broker::timers::tick;
use crate::budget::Account;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::ReasonCode;

impl Clients {
    /// Bytes of the largest packet that clients may send: as configured, and no more than one of them may hold.
    pub(crate) fn packet_bytes_max(&self) -> u32 {
        self.desk
            .settings
            .max_packet_size
            .min(self.memory.packet_memory)
    }
}

impl Broker {
    /// Takes what is kept of a packet.
    pub(in crate::broker) fn take_partial(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let lease = &mut self.clients.memory.lease;
        self.clients.peers.take_partial(conn, lease)
    }

    /// Keeps the start of a packet, or more of it.
    pub(in crate::broker) fn keep_partial(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        let before = entry.partial.as_ref().map_or(0, |partial| partial.memory());
        let is_connecting = entry.stage() == Stage::Connecting;
        let partial = (entry.partial).get_or_insert_with(|| Box::new(Partial::new(tick(now_ms))));
        partial.extend(bytes);
        let more = (partial.memory() - before) as u64;
        let is_too_slow = partial.is_too_slow(now_ms);
        self.clients.memory.lease.force(Account::Packets, more);
        if is_connecting {
            self.clients.peers.beginners.rank(conn, partial);
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
            let is_slow = entry.is_established()
                && (entry.partial.as_ref()).is_some_and(|partial| partial.is_too_slow(now_ms));
            if is_slow && !self.is_held(conn) {
                self.give_up_packet(now_ms, conn);
            }
        }
    }
}
