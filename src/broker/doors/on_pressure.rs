//! Memory becomes short (`budget::Rung`), or a peak is over.
//!
//! Bounds fall by themselves as an account fills (`Lease::threshold`); here is what is done to those that are above them
//! already. Every measure is counted. Nothing is done to anybody while nothing is short.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::effect::CloseHow;
use crate::broker::peers::state::Stage;
use crate::broker::settings::LogKind;
use crate::budget::{Account, Rung};
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::ReasonCode;

/// What counts towards a peak: what is given back to the allocator when it falls.
const PEAKS: [Account; 6] = [
    Account::Connections,
    Account::Packets,
    Account::Outbound,
    Account::Backlog,
    Account::Subscriptions,
    Account::Retained,
];

impl Broker {
    /// When a look is due, if one is needed although nothing happens.
    pub(in crate::broker) fn next_pressure_look_ms(&self) -> Option<u64> {
        (self.pressure.rung() > Rung::Calm || self.has_fallen() || self.is_overdrawn())
            .then_some(self.pressure.next_look_ms())
    }

    /// Whether much less is held than was at the peak.
    fn has_fallen(&self) -> bool {
        let free = self.clients.free_places();
        let places = self.clients.peers.conns.len();
        self.pressure.has_fallen(self.held(), free, places)
    }

    fn held(&self) -> u64 {
        let held = PEAKS.map(|account| self.clients.memory.lease.held(account).max(0) as u64);
        held.iter().sum()
    }

    /// Whether more is held in queues than their account has.
    fn is_overdrawn(&self) -> bool {
        let pool = self.clients.memory.lease.pool();
        pool.free(Account::Outbound) < 0 && self.clients.memory.lease.held(Account::Outbound) > 0
    }

    /// Looks at what is short: sets the bounds that hold until the next look, and deals with those above them. True if free
    /// memory is to be given back to the system.
    pub(in crate::broker) fn look(&mut self, now_ms: u64, rung: Rung) -> bool {
        let before = self.pressure.look(now_ms, rung);
        let clients = &mut self.clients;
        (clients.memory).set_bounds(rung, &mut clients.out, clients.desk.shards);
        if rung >= Rung::Shrink || self.is_overdrawn() {
            self.shorten_queues(now_ms);
        }
        self.look_at_shares(now_ms);
        let level = self.clients.memory.lease.pool().level();
        if level >= limits::RUNG_SHED || self.is_overdrawn() {
            self.shed_heaviest(now_ms);
        }
        self.wants_trim(now_ms, before, rung)
    }

    /// Whether there is memory to be given back: at the first step of the ladder, and after a peak.
    fn wants_trim(&mut self, now_ms: u64, before: Rung, rung: Rung) -> bool {
        self.pressure.note_held(self.held());
        let since_ms = self.pressure.since_trim_ms(now_ms);
        let climbs = rung > before && rung >= Rung::Trim;
        let stays = rung >= Rung::Trim && since_ms >= limits::TRIM_SHORT_MS;
        let fell = since_ms >= limits::TRIM_MS && self.has_fallen();
        if !(climbs || stays || fell) {
            return false;
        }
        self.pressure.begin_trim(now_ms);
        self.clients.desk.counters.trims += 1;
        self.trim();
        let free = self.clients.free_places();
        self.pressure.end_trim(self.held(), free);
        true
    }

    /// Gives up what is only kept for reuse, and what is only remembered: after a peak it is of others than come now.
    pub fn trim(&mut self) {
        self.clients.trim();
        self.routing.retained.trim();
        self.routing.subscriptions.trim();
        self.routing.subscriptions.forget_matches();
        self.routing.matched.clear();
        self.routing.matched.shrink_to_fit();
        self.interests.trim();
        self.waits.trim();
        self.held.trim();
        self.looks.trim();
        let sessions = &self.clients.sessions;
        self.ordering.trim(|session| sessions.has_place(session));
        self.charge_levels();
    }

    /// Brings queues that are longer than their bound down to it, as their policy has it.
    fn shorten_queues(&mut self, now_ms: u64) {
        let max = self.clients.memory.outbound_max;
        for index in 0..self.clients.out.len() {
            let conn = ConnId(index as u32);
            let is_there = self.clients.peers.stage(conn) != Stage::Free;
            if is_there && self.clients.out.pending(conn) > max {
                let dropped = self.clients.out.drop_oldest(conn, max / 2);
                self.clients.desk.counters.publish_dropped += dropped.messages;
            }
        }
        self.end_event(now_ms);
    }

    /// Closes the connection that holds most; or, where a session that is away holds more, those give way who hold most of
    /// what waits for sessions.
    fn shed_heaviest(&mut self, now_ms: u64) {
        let away = self.heaviest_away();
        match self.heaviest_connection() {
            Some((bytes, conn)) if bytes >= away => self.shed_connection(now_ms, conn, bytes),
            _ if away >= limits::SHED_BYTES_MIN => self.shed_backlog(),
            _ => {}
        }
    }

    fn heaviest_connection(&self) -> Option<(u64, ConnId)> {
        let clients = &self.clients;
        let weight = |(index, entry): (usize, &crate::broker::peers::conn::Conn)| {
            let conn = ConnId(index as u32);
            let partial = entry.partial.as_ref().map_or(0, |partial| partial.memory());
            let session = clients.peers.session_of(conn);
            let waiting = session.map_or(0, |session| clients.weight(session));
            let bytes = clients.out.own_bytes(conn) + partial as u64 + waiting;
            (entry.is_established()).then_some((bytes, conn))
        };
        let all = clients.peers.conns.indexed().filter_map(weight);
        all.max_by_key(|&(bytes, _)| bytes)
            .filter(|&(bytes, _)| bytes >= limits::SHED_BYTES_MIN)
    }

    /// Bytes of the session that holds most of those that are away.
    fn heaviest_away(&self) -> u64 {
        let clients = &self.clients;
        let away = clients
            .sessions
            .ids()
            .filter(|&session| clients.sessions.conn_of(session).is_none());
        away.map(|session| clients.weight(session))
            .max()
            .unwrap_or(0)
    }

    fn shed_connection(&mut self, now_ms: u64, conn: ConnId, bytes: u64) {
        self.clients.desk.counters.shed += 1;
        self.clients.log_client(LogKind::Warning, conn, |client| {
            format!("{client} holds {bytes} bytes while memory is short, and is closed.")
        });
        // Whoever takes nothing does not take a goodbye either, and what waits for it is what has to go.
        if self.clients.out.pending(conn) == 0 {
            return self.disconnect(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
        }
        self.clients.log_end(now_ms, conn, "out of memory");
        self.detach(now_ms, conn, true);
        self.shut(now_ms, conn, CloseHow::Now);
    }
}

impl Clients {
    /// Places in tables that nobody has.
    fn free_places(&self) -> usize {
        self.peers.free_numbers() + self.sessions.free_places()
    }

    /// Gives up what is only kept for reuse.
    fn trim(&mut self) {
        self.peers.trim();
        let conns = &self.peers.conns;
        self.out.trim(|conn| conns.get(conn.index()).is_some());
        self.sessions.trim();
        let (sessions, shares) = (&self.sessions, &mut self.memory.shares);
        shares.trim(|session| sessions.has_place(session));
        self.forget_stale_timers();
        self.desk.effects.shrink_to_fit();
    }
}
