//! The clients of one shard, with or without a connection, and what is held for them. The handlers of events work on
//! these; nothing here decides what a packet means.

use std::sync::Arc;

use super::desk::Desk;
use super::facts::{Answer, Fact};
use super::memory::allowed::Allowed;
use super::peers::peer::Peer;
use super::peers::table::Peers;
use super::sessions::change::Change;
use super::sessions::rights::Rights;
use super::sessions::table::Sessions;
use super::settings::{ListenerSettings, Settings};
use super::timers::{DeadlineOf, tick, tick_after};
use super::trace::Traces;
use crate::budget::Account;
use crate::ids::{ConnId, SessionId, ShardId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::outbound::Outbound;
use crate::session::{Bounds, Origin, Session};

/// See the module.
pub(super) struct Clients {
    pub desk: Desk,
    pub peers: Peers,
    pub sessions: Sessions,
    pub memory: Allowed,
    pub out: Outbound,
    /// Subscribers from which on they share packet identifiers.
    pub shared_ids_min: usize,
    /// Counts frames with QoS above 0: the shared packet identifiers come from it.
    pub order: u64,
    /// Messages of shared subscriptions that their members may not read any more; given to others with the event.
    pub passed_over: Vec<(SessionId, Origin, Arc<Message>)>,
    /// What is shown to whoever looks.
    pub traces: Traces,
}

impl Clients {
    pub(super) fn new(settings: Arc<Settings>, shard: ShardId, shards: u8, seed: u64) -> Self {
        Clients {
            sessions: Sessions::new(shard, seed, Rights::new(&settings, seed, None)),
            peers: Peers::new(&settings.quotas),
            desk: Desk::new(settings, shard, shards),
            memory: Allowed::default(),
            out: Outbound::new(),
            shared_ids_min: limits::SHARED_IDS_MIN,
            order: 0,
            passed_over: Vec::new(),
            traces: Traces::default(),
        }
    }

    /// A new connection.
    pub(super) fn open(&mut self, now_ms: u64, peer: Peer) -> ConnId {
        let conn = self.peers.admit(tick(now_ms), peer);
        self.out.open(conn);
        self.arm_conn(conn, now_ms + limits::CONNECT_MS_MAX);
        conn
    }

    /// The settings of the listener that a connection came in by.
    pub(super) fn listener(&self, conn: ConnId) -> &ListenerSettings {
        &self.desk.settings.listeners[usize::from(self.peers.conns[conn.index()].listener())]
    }

    /// A new session for a client identifier that has none, and that the lease has counted.
    pub(super) fn new_session(&mut self, client_id: &str) -> SessionId {
        let session = self.sessions.open(client_id);
        self.charge_new(session);
        session
    }

    /// A session of another run, with its serial.
    pub(super) fn new_session_as(&mut self, client_id: &str, serial: u64) -> SessionId {
        let session = self.sessions.open_as(client_id, serial);
        self.charge_new(session);
        session
    }

    fn charge_new(&mut self, session: SessionId) {
        let memory = self
            .sessions
            .get(session)
            .map_or(0, |session| session.memory());
        self.memory.lease.force(Account::Connections, memory as u64);
    }

    /// Takes a session out of the tables.
    pub(super) fn remove_session(&mut self, session: SessionId) -> Option<Session> {
        let taken = self.sessions.take(session)?;
        self.memory.lease.leave();
        self.memory.shares.forget_reach(session);
        self.memory
            .lease
            .give(Account::Connections, taken.memory() as u64);
        Some(taken)
    }

    /// Changes what a session holds besides messages, and charges the difference.
    pub(super) fn change_session<R>(
        &mut self,
        session: SessionId,
        change: impl FnOnce(&mut Change<'_>) -> R,
    ) -> Option<R> {
        let lease = &mut self.memory.lease;
        self.sessions.change_charged(session, lease, change)
    }

    /// Bytes of the tables of connections and sessions.
    pub(super) fn tables(&self) -> usize {
        self.peers.memory()
            + self.sessions.memory()
            + self.desk.timers.memory()
            + self.memory.shares.memory()
    }

    /// Makes sure that the connection's deadline comes up at this moment or before.
    pub(super) fn arm_conn(&mut self, conn: ConnId, at_ms: u64) {
        let at = tick_after(at_ms);
        let timer_at = &mut self.peers.conns[conn.index()].timer_at;
        if *timer_at == 0 || at < *timer_at {
            *timer_at = at;
            self.add_timer(at, DeadlineOf::Conn(conn));
        }
    }

    /// Adds a deadline, and forgets stale ones where a day or a century would do it too late.
    fn add_timer(&mut self, at: u32, of: DeadlineOf) {
        self.desk.timers.add(at, of);
        let owners = self.peers.conns.len() + self.sessions.places();
        if self.desk.timers.is_bloated(owners) {
            self.forget_stale_timers();
        }
    }

    /// Forgets deadlines that mean nothing any more.
    pub(super) fn forget_stale_timers(&mut self) {
        let (conns, sessions) = (&self.peers.conns, &self.sessions);
        self.desk.timers.retain(|at, of| match of {
            DeadlineOf::Conn(conn) => {
                let entry = conns.get(conn.index());
                entry.is_some_and(|entry| entry.timer_at == at)
            }
            DeadlineOf::Session(session) => {
                let entry = sessions.get(session);
                entry.is_some_and(|entry| entry.timer_at() == at)
            }
        });
    }

    /// Makes sure that the session's deadline comes up at this moment or before.
    pub(super) fn arm_session(&mut self, session: SessionId, at_ms: u64) {
        if at_ms == u64::MAX {
            return;
        }
        let at = tick_after(at_ms);
        if let Some(mut entry) = self.sessions.change(session)
            && (entry.timer_at() == 0 || at < entry.timer_at())
        {
            entry.set_timer(at);
            self.add_timer(at, DeadlineOf::Session(session));
        }
    }

    /// A connection has spoken, and may be silent for as long as its keep alive allows.
    pub(crate) fn arm_silence(&mut self, now_ms: u64, conn: ConnId) {
        if let Some(silence_ms) = self.peers.conns[conn.index()].silence_ms_max() {
            self.arm_conn(conn, now_ms + silence_ms);
        }
    }

    /// The client of a connection is given an answer.
    #[inline]
    pub(super) fn tell_answer(&mut self, conn: ConnId, answer: Answer) {
        if self.sessions.facts().are_kept() {
            self.tell_answer_of(conn, answer);
        }
    }

    #[cold]
    fn tell_answer_of(&mut self, conn: ConnId, answer: Answer) {
        let session = self.peers.session_of(conn);
        if let Some(session) = session.and_then(|session| self.sessions.reference(session)) {
            let facts = self.sessions.facts();
            facts.tell(|_| Fact::Answered { session, answer });
        }
    }

    /// What may be in flight and wait for the client of a connection; without one, for a session that is away.
    #[inline]
    pub(super) fn bounds(&self, conn: Option<ConnId>) -> Bounds {
        Bounds {
            in_flight: conn.map_or(0, |conn| self.peers.conns[conn.index()].in_flight_max()),
            in_flight_bytes: self.desk.settings.max_inflight_bytes,
            queued: self.desk.settings.max_queued_messages,
            queued_bytes: self.desk.settings.max_queued_bytes,
        }
    }
}
