//! The tables of one shard: connections, sessions, their queues, timers and counters, and the effects that are asked
//! of the world. The handlers of events work on these; nothing here decides what a packet means.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::counters::Counters;
use super::effect::{CloseHow, Effect, MeshMessage, Peer};
use super::memory::shares::Shares;
use super::peers::cut::Turn;
use super::peers::partial::{Beginners, Partial};
use super::peers::quotas::{Reading, refusal_lines};
use super::peers::strangers::{Strangers, strangers};
use super::said::Said;
use super::sessions::absent::Absent;
use super::sessions::rights::Rights;
use super::settings::{ListenerSettings, LogKind, Settings};
use super::timers::{Owner, Timers, tick, tick_after};
use crate::budget::{Account, Lease};
use crate::ids::{ConnId, SessionId, ShardId};
use crate::index::Index;
use crate::limits;
use crate::mqtt::Version;
use crate::mqtt::message::Message;
use crate::outbound::Outbound;
use crate::session::{Aliases, Bounds, Origin, Session, SlowPolicy};
use crate::table::Table;
use std::hash::BuildHasher;

/// Where a connection stands.
///
/// ```text
///   Free ──accept──▶ Connecting ──CONNECT──▶ (Verifying) ──▶ Established ──┐
///     ▲                  │  └──not at home──▶ Moved  │                     ├──▶ Closing ──closed──▶ Free
///     └──────closed──────┴──────────────────────┴────┴─────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Free,
    /// Accepted; CONNECT has not been received whole.
    Connecting,
    /// CONNECT has come; its password is being checked.
    Verifying,
    /// CONNECT was accepted.
    Established,
    /// The broker has given it up; its last packets may still be on their way.
    Closing,
    /// On its way to another shard.
    Moved,
}

/// No session, or no connection.
pub const NONE: u32 = u32::MAX;

/// A connection.
pub struct Conn {
    /// The start of a packet. In a box, because a connection without one should be small.
    pub partial: Option<Box<Partial>>,
    /// Topic aliases of both directions; absent while there are none.
    pub aliases: Option<Box<Aliases>>,
    /// Bytes of the largest packet that the client takes.
    pub packet_bytes_max: u32,
    pub session: u32,
    /// Tick of the last packet, or of the accept while connecting, or of the close.
    pub active_at: u32,
    /// The live deadline in the heap, in ticks; 0 for none.
    pub timer_at: u32,
    /// An IPv4 address as IPv6 maps it; real ones of that form are told as IPv4 when they are accepted.
    address: [u8; 16],
    port: u16,
    pub listener: u16,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// Messages with QoS above 0 that may be in flight to it.
    pub in_flight_max: u16,
    /// What the client allows.
    pub alias_max: u16,
    pub version: Version,
    pub stage: Stage,
    /// Whether its packets are handled as they come.
    pub reading: Reading,
    /// What happens when it is too slow.
    pub policy: Option<SlowPolicy>,
    /// Whether nobody has vouched for who it is.
    pub is_anonymous: bool,
    /// Whether it wants reason strings and user properties with its answers (MQTT 5, 3.1.2.11.7).
    pub wants_problems: bool,
}

impl Conn {
    fn free() -> Self {
        Conn {
            partial: None,
            aliases: None,
            packet_bytes_max: u32::MAX,
            session: NONE,
            active_at: 0,
            timer_at: 0,
            address: [0; 16],
            port: 0,
            listener: 0,
            keep_alive_s: 0,
            in_flight_max: u16::MAX,
            alias_max: 0,
            version: Version::V311,
            stage: Stage::Free,
            reading: Reading::On,
            policy: None,
            is_anonymous: true,
            wants_problems: true,
        }
    }

    /// Who it is.
    pub fn peer(&self) -> Peer {
        let ip = IpAddr::from(self.address).to_canonical();
        Peer {
            address: SocketAddr::new(ip, self.port),
            listener: self.listener,
        }
    }

    pub fn set_peer(&mut self, peer: Peer) {
        self.address = match peer.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        self.port = peer.address.port();
        self.listener = peer.listener;
    }
}

/// What a delivery needs to know of a session, close together for fan-outs.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Its connection; `NONE` while the client is away.
    pub conn: u32,
    /// The bits below; 0 is a plain connected 3.x client.
    pub flags: u8,
    /// Questions about retained messages for it that other shards have not answered.
    pub asking: u8,
    /// Counts its connections, so that an answer to one of them is not given to the next.
    pub epoch: u16,
}

impl Hot {
    /// Of a session without a connection.
    const AWAY: Hot = Hot {
        conn: NONE,
        flags: 0,
        asking: 0,
        epoch: 0,
    };
}

/// The client speaks MQTT 5.
pub const HOT_V5: u8 = 1;
/// It cannot take the common encodings: topic aliases, a packet size limit, a mount point.
pub const HOT_PRIVATE: u8 = 2;
/// Retained messages wait for it, and QoS 0 messages behind them.
pub const HOT_REPLAYING: u8 = 4;
/// There are rules about what it may be sent; also while the client is away.
pub const HOT_GUARDED: u8 = 8;

/// See the module.
pub struct Clients {
    pub settings: Arc<Settings>,
    pub shard: ShardId,
    pub shards: u8,
    pub conns: Table<Conn>,
    pub free_conns: Vec<u32>,
    pub hot: Table<Hot>,
    pub sessions: Table<Option<Session>>,
    pub free_sessions: Vec<u32>,
    index: Index,
    hasher: FixedState,
    pub out: Outbound,
    /// What this shard may hold, and holds, in memory.
    pub lease: Lease,
    /// Bytes that may be pending for a connection: fewer as memory becomes short.
    pub outbound_max: u32,
    /// Up to so many nobody is near a bound of that kind.
    pub outbound_near: u32,
    /// Bytes that one packet may take.
    pub packet_memory: u32,
    /// Who holds what of an account that is short.
    pub shares: Shares,
    /// Connections of which CONNECT has not come whole.
    pub beginners: Beginners,
    /// What the turn may deliver.
    pub turn: Turn,
    /// Whether publishers have to wait, because memory is short.
    pub slows: bool,
    pub counters: Counters,
    pub effects: VecDeque<Effect>,
    pub timers: Timers,
    /// Subscribers from which on they share packet identifiers.
    pub shared_ids_min: usize,
    /// Counts frames with QoS above 0: the shared packet identifiers come from it.
    pub order: u64,
    /// Answers to the connection whose bytes are being handled, queued together.
    pub replies: Vec<u8>,
    pub replies_to: ConnId,
    /// Connections whose answers have grown past every bound; ended with the event.
    pub overflowing: Vec<ConnId>,
    /// Messages of shared subscriptions that their members may not read any more; given to others with the event.
    pub passed_over: Vec<(SessionId, Origin, Arc<Message>)>,
    /// What clients may do; absent without an ACL file.
    pub rights: Option<Box<Rights>>,
    /// Whose the sessions are whose clients are away.
    pub absent: Absent,
    /// Messages that other shards have been sent, by shard.
    pub mesh_sent: Box<[u64]>,
    /// Lines about what is refused to clients.
    pub refusal_lines: Said<()>,
    /// Lines about connections that are not let in yet.
    pub strangers: Strangers,
    serials: u64,
}

impl Clients {
    pub fn new(settings: Arc<Settings>, shard: ShardId, shards: u8, seed: u64) -> Self {
        Clients {
            rights: Rights::new(&settings, seed, None),
            absent: Absent::new(seed),
            settings,
            shard,
            shards,
            conns: Table::new(),
            free_conns: Vec::new(),
            hot: Table::new(),
            sessions: Table::new(),
            free_sessions: Vec::new(),
            index: Index::new(),
            hasher: FixedState::with_seed(seed),
            out: Outbound::new(),
            lease: Lease::unbounded(),
            outbound_max: limits::OUTBOUND_BYTES_MAX,
            outbound_near: limits::OUTBOUND_BYTES_MAX / 4 * 3,
            packet_memory: u32::MAX,
            shares: Shares::default(),
            beginners: Beginners::default(),
            turn: Turn::default(),
            slows: false,
            counters: Counters::default(),
            effects: VecDeque::new(),
            timers: Timers::default(),
            shared_ids_min: limits::SHARED_IDS_MIN,
            order: 0,
            replies: Vec::new(),
            replies_to: ConnId(NONE),
            overflowing: Vec::new(),
            passed_over: Vec::new(),
            mesh_sent: vec![0; usize::from(shards)].into(),
            refusal_lines: refusal_lines(),
            strangers: strangers(),
            serials: 0,
        }
    }

    /// A new connection.
    pub fn open(&mut self, now_ms: u64, peer: Peer) -> ConnId {
        if self.free_conns.is_empty()
            && let Some(places) = self.conns.refill(Conn::free)
        {
            self.free_conns.extend(places.rev());
        }
        let index = match self.free_conns.pop() {
            Some(index) => index,
            None => {
                self.conns.push(Conn::free());
                (self.conns.len() - 1) as u32
            }
        };
        let conn = ConnId(index);
        let entry = &mut self.conns[conn.index()];
        *entry = Conn::free();
        entry.set_peer(peer);
        entry.stage = Stage::Connecting;
        entry.active_at = tick(now_ms);
        self.out.open(conn);
        self.arm_conn(conn, now_ms + limits::CONNECT_MS_MAX);
        conn
    }

    /// Forgets a connection of which nothing is in flight.
    pub fn free_conn(&mut self, conn: ConnId) {
        self.out.close(conn);
        self.drop_partial(conn);
        self.drop_aliases(conn);
        let entry = &mut self.conns[conn.index()];
        if entry.stage != Stage::Free {
            *entry = Conn::free();
            self.free_conns.push(conn.0);
        }
    }

    /// Forgets what was received of an incomplete packet.
    pub fn drop_partial(&mut self, conn: ConnId) {
        self.take_partial(conn);
    }

    /// Forgets the topic aliases of a connection.
    pub fn drop_aliases(&mut self, conn: ConnId) {
        if let Some(aliases) = self.conns[conn.index()].aliases.take() {
            self.lease
                .give(Account::Connections, aliases.memory() as u64);
        }
    }

    /// How far a connection is; also of a number that nobody has.
    pub fn stage(&self, conn: ConnId) -> Stage {
        let entry = self.conns.get(conn.index());
        entry.map_or(Stage::Free, |entry| entry.stage)
    }

    /// The settings of the listener that a connection came in by.
    pub fn listener(&self, conn: ConnId) -> &ListenerSettings {
        &self.settings.listeners[usize::from(self.conns[conn.index()].listener)]
    }

    /// The session of a connection.
    #[inline]
    pub fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        let session = self.conns[conn.index()].session;
        (session != NONE).then_some(SessionId(session))
    }

    /// The connection of a session.
    #[inline]
    pub fn conn_of(&self, session: SessionId) -> Option<ConnId> {
        let conn = self.hot.get(session.index())?.conn;
        (conn != NONE).then_some(ConnId(conn))
    }

    /// A session that exists.
    #[inline]
    pub fn session(&mut self, session: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(session.index())?.as_mut()
    }

    fn hash(&self, client_id: &str) -> u64 {
        self.hasher.hash_one(client_id)
    }

    /// The session of a client identifier.
    pub fn find_session(&self, client_id: &str) -> Option<SessionId> {
        let is_it = |index: u32| {
            self.sessions[index as usize]
                .as_ref()
                .is_some_and(|session| *session.client_id == *client_id)
        };
        self.index.find(self.hash(client_id), is_it).map(SessionId)
    }

    /// A new session for a client identifier that has none, and that the lease has counted.
    pub fn new_session(&mut self, client_id: &str) -> SessionId {
        self.serials += 1;
        let serial = u64::from(self.shard.0) << 56 | self.serials;
        let session = Session::new(client_id.into(), serial);
        self.lease
            .force(Account::Connections, session.memory() as u64);
        if self.free_sessions.is_empty()
            && let Some(places) = self.sessions.refill(|| None)
        {
            self.free_sessions.extend(places.rev());
        }
        let index = match self.free_sessions.pop() {
            Some(index) => {
                self.sessions[index as usize] = Some(session);
                index
            }
            None => {
                self.sessions.push(Some(session));
                (self.sessions.len() - 1) as u32
            }
        };
        self.hot.ensure(index as usize, || Hot::AWAY);
        self.hot[index as usize] = Hot::AWAY;
        let hash = self.hash(client_id);
        let (sessions, hasher) = (&self.sessions, &self.hasher);
        self.index
            .insert(hash, index, |index| hash_of(sessions, hasher, index));
        SessionId(index)
    }

    /// Takes a session out of the tables.
    pub fn remove_session(&mut self, session: SessionId) -> Option<Session> {
        let taken = self.sessions.get_mut(session.index())?.take()?;
        if let Some(rights) = &mut self.rights {
            rights.leave(session);
        }
        self.absent.forget(session);
        self.lease.leave();
        self.shares.forget_reach(session);
        self.lease.give(Account::Connections, taken.memory() as u64);
        let hash = self.hash(&taken.client_id);
        let (sessions, hasher) = (&self.sessions, &self.hasher);
        self.index
            .remove(hash, session.0, |index| hash_of(sessions, hasher, index));
        self.free_sessions.push(session.0);
        Some(taken)
    }

    /// Bytes of the table of names.
    pub fn index_memory(&self) -> usize {
        self.index.memory()
    }

    /// Gives memory back after many sessions have ended.
    pub fn shrink_index(&mut self) {
        let (sessions, hasher) = (&self.sessions, &self.hasher);
        self.index.shrink(|index| hash_of(sessions, hasher, index));
    }

    /// Sessions that exist.
    pub fn session_ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        let exists = |(index, session): (usize, &Option<Session>)| {
            session.is_some().then_some(SessionId(index as u32))
        };
        self.sessions.indexed().filter_map(exists)
    }

    /// Makes sure that the connection's deadline comes up at this moment or before.
    pub fn arm_conn(&mut self, conn: ConnId, at_ms: u64) {
        let at = tick_after(at_ms);
        let timer_at = &mut self.conns[conn.index()].timer_at;
        if *timer_at == 0 || at < *timer_at {
            *timer_at = at;
            self.add_timer(at, Owner::Conn(conn));
        }
    }

    /// Adds a deadline, and forgets stale ones where a day or a century would do it too late.
    fn add_timer(&mut self, at: u32, owner: Owner) {
        self.timers.add(at, owner);
        let owners = self.conns.len() + self.sessions.len();
        if self.timers.is_bloated(owners) {
            self.forget_stale_timers();
        }
    }

    /// Forgets deadlines that mean nothing any more.
    pub fn forget_stale_timers(&mut self) {
        let (conns, sessions) = (&self.conns, &self.sessions);
        self.timers.retain(|at, owner| match owner {
            Owner::Conn(conn) => {
                let entry = conns.get(conn.index());
                entry.is_some_and(|entry| entry.timer_at == at)
            }
            Owner::Session(session) => {
                let entry = sessions.get(session.index()).and_then(Option::as_ref);
                entry.is_some_and(|entry| entry.timer_at == at)
            }
        });
    }

    /// Makes sure that the session's deadline comes up at this moment or before.
    pub fn arm_session(&mut self, session: SessionId, at_ms: u64) {
        if at_ms == u64::MAX {
            return;
        }
        let at = tick_after(at_ms);
        if let Some(Some(entry)) = self.sessions.get_mut(session.index())
            && (entry.timer_at == 0 || at < entry.timer_at)
        {
            entry.timer_at = at;
            self.add_timer(at, Owner::Session(session));
        }
    }

    /// What may be in flight and wait for the client of a connection; without one, for a session that is away.
    #[inline]
    pub fn bounds(&self, conn: Option<ConnId>) -> Bounds {
        Bounds {
            in_flight: conn.map_or(0, |conn| self.conns[conn.index()].in_flight_max),
            in_flight_bytes: self.settings.max_inflight_bytes,
            queued: self.settings.max_queued_messages,
            queued_bytes: self.settings.max_queued_bytes,
        }
    }

    /// Asks for a connection to be closed.
    pub fn close(&mut self, conn: ConnId, how: CloseHow) {
        self.effects.push_back(Effect::Close { conn, how });
    }

    /// Sends to another shard.
    pub fn mesh(&mut self, to: ShardId, message: MeshMessage) {
        debug_assert_ne!(to, self.shard);
        self.mesh_sent[to.index()] += 1;
        self.effects.push_back(Effect::Mesh { to, message });
    }

    /// Sends to all other shards.
    pub fn mesh_all(&mut self, message: impl Fn() -> MeshMessage) {
        for index in 0..self.shards {
            if index != self.shard.0 {
                self.mesh(ShardId(index), message());
            }
        }
    }

    /// Writes a log line, if such lines are wanted.
    pub fn log(&mut self, kind: LogKind, text: impl FnOnce() -> String) {
        if self.settings.log.has(kind) {
            let text = text();
            self.effects.push_back(Effect::Log { kind, text });
        }
    }

    /// A number nobody can guess from the outside is not needed here, only one that differs: for assigned client ids.
    pub fn next_unique(&mut self) -> u64 {
        self.serials += 1;
        self.hasher.hash_one((self.shard.0, self.serials))
    }
}

/// The hash of a session's client identifier.
fn hash_of(sessions: &Table<Option<Session>>, hasher: &FixedState, index: u32) -> u64 {
    sessions[index as usize]
        .as_ref()
        .map_or(0, |session| hasher.hash_one(&*session.client_id))
}
