//! One shard's brain, sans-io: events and `now` in, effects out.
//!
//! The contract with whoever runs it:
//! - call `on_<event>` for what happens, then take `next_effect` until it is empty, then send for every `next_dirty`
//!   what `gather` gives, and report each send by `on_sent`;
//! - a connection is answered with exactly one `on_closed`, after an `Effect::Close` or `Effect::Handover` for it, when
//!   nothing of it is in flight; only then is its number used again;
//! - messages between two shards arrive in order and are never lost; one is given to `on_mesh` only while `takes_from` says so
//!   of its sender, and stays where it is otherwise;
//! - what is due is done by `on_timers` when everything that had come before has been told, else by `on_timers_behind`;
//! - `now_ms` never goes backwards and is the same clock for all shards.
//!
//! It never blocks, sleeps, reads a clock or asks for randomness. One shard's thread (or the simulation) runs it.

mod busiest;
mod checkpoint;
mod clients;
mod continuation;
mod counters;
mod crowd;
mod deeds;
mod delivery;
mod desk;
mod doors;
mod drain;
mod effect;
mod facts;
mod groups;
mod held;
mod interest;
mod keepers;
mod lines;
mod looks;
mod memory;
mod mesh_message;
mod noted;
mod outcome;
mod peers;
mod placement;
mod queries;
mod retained;
mod said;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod waits;
mod wall_clock;

pub use busiest::{BusyTopic, BusyTopics};
pub use checkpoint::CheckpointProgress;
pub use counters::Counters;
pub use deeds::*;
pub use effect::*;
pub use facts::{Answer, Fact, Keeper, Numbered, Subscription};
pub use groups::message::*;
pub use mesh_message::*;
pub use peers::peer::*;
pub use placement::{home, owner_of_topic};
pub use queries::*;
pub use settings::*;
#[cfg(test)]
pub use tests::state::{Options, SessionState, State, place};
pub use trace::{
    Direction, TraceEvent, TraceLook, TracePage, TraceSubject, TraceWhat, TracedConnect,
    TracedContent, TracedFilter, TracedMessage, TracedOutcome, TracedPacket, TracedPublish,
    TracedWill,
};
pub use wall_clock::{UnixMs, WallClock};

use std::net::IpAddr;
use std::sync::Arc;

use crate::broker::clients::Clients;
use crate::budget::Lease;
use crate::ids::{ConnId, ShardId};
use crate::journal::Scribe;
use crate::mqtt::Version;
use crate::mqtt::message::Message;
use crate::outbound::{Rest, Slice};
use busiest::Busiest;
use checkpoint::Checkpoint;
use delivery::outgoing::Outgoing;
use drain::Drain;
use groups::offers::Offers;
use held::Held;
use interest::barrier::Interests;
use lines::Doing;
use looks::Looks;
use memory::pressure::Pressure;
use peers::conn::PeerName;
use retained::asking::Promises;
use retained::live::Live;
use retained::lookups::Lookups;
use retained::ordered::Ordering;
use retained::stores::Stores;
use smallvec::SmallVec;
use timers::Sweeps;
use waits::Waits;

use crate::routing::{FilterId, Groups, Retained, Subscriptions};

/// What this shard knows of who wants which topic.
struct Routing {
    /// Local sessions, local shared groups and other shards, by filter.
    subscriptions: Subscriptions,
    /// The retained messages of the topics that this shard owns.
    retained: Retained,
    /// The shared subscriptions that this shard owns.
    groups: Groups,
    /// The members on this shard, of all shared subscriptions.
    guests: Groups,
    /// Filters matched by the message at hand; kept to spare an allocation.
    matched: SmallVec<[FilterId; 8]>,
    /// When it was last computed anew how many nodes a topic can lead to.
    tightened_ms: u64,
}

/// One shard's brain; see the module.
pub struct Broker {
    clients: Clients,
    routing: Routing,
    interests: Interests,
    stores: Stores,
    lookups: Lookups,
    live: Live,
    drain: Drain,
    sweeps: Sweeps,
    waits: Waits,
    held: Held,
    checkpoint: Checkpoint,
    pressure: Pressure,
    /// Messages of shared subscriptions that go on being offered in the next turn.
    offers: Offers,
    promises: Promises,
    ordering: Ordering,
    looks: Looks,
    busiest: Busiest,
    /// Subscriptions of the run before that are not known everywhere yet.
    restoring: u32,
    /// When they were taken up. What was due by then is due whoever comes back: nobody could come before.
    restored_ms: Option<u64>,
}

impl Broker {
    /// Bytes that a brain takes from the start on for what it remembers of the busiest topics.
    pub(crate) const TOPICS_BYTES: u64 = Busiest::BYTES;

    /// The brain of `shard` out of `shards`. The seed decides hash functions and assigned client identifiers, nothing
    /// that a client could notice otherwise.
    pub fn new(settings: Arc<Settings>, shard: ShardId, shards: u8, seed: u64) -> Broker {
        let shards = shards.max(1);
        Broker {
            clients: Clients::new(settings, shard, shards, seed),
            routing: Routing {
                subscriptions: Subscriptions::new(seed),
                retained: Retained::new(seed),
                groups: Groups::new(seed),
                guests: Groups::new(seed),
                matched: SmallVec::new(),
                tightened_ms: 0,
            },
            interests: Interests::default(),
            stores: Stores::new(shards),
            lookups: Lookups::new(shards),
            live: Live::default(),
            drain: Drain::default(),
            sweeps: Sweeps::default(),
            waits: Waits::default(),
            held: Held::default(),
            checkpoint: Checkpoint::new(shards),
            pressure: Pressure::default(),
            offers: Offers::default(),
            promises: Promises::default(),
            ordering: Ordering::new(shards),
            looks: Looks::default(),
            busiest: Busiest::new(seed),
            restoring: 0,
            restored_ms: None,
        }
    }

    /// The same, with a part of the memory that the process has, instead of all that it could want.
    pub fn with_lease(mut self, lease: Lease) -> Broker {
        self.clients.memory.lease = lease;
        self
    }

    /// The same, with other pages of retained messages.
    #[cfg(test)]
    pub fn with_pages(mut self, page: crate::routing::PageBounds) -> Broker {
        self.lookups.set_page(page);
        self
    }

    /// The same, where so many subscribers share packet identifiers.
    #[cfg(test)]
    pub fn with_shared_ids_from(mut self, subscribers: usize) -> Broker {
        self.clients.shared_ids_min = subscribers;
        self
    }

    /// The same, with other bounds on the messages that one publisher and all of them may have under way by owners.
    #[cfg(test)]
    pub fn with_under_way(mut self, one: u64, all: u64) -> Broker {
        self.ordering.under_way.set_most(one, all);
        self
    }

    /// The same, where a checkpoint writes so many bytes of images in a turn.
    #[cfg(test)]
    pub fn with_slices_of(mut self, bytes: u64) -> Broker {
        self.checkpoint.set_slice_bytes(bytes);
        self
    }

    /// Somebody keeps facts from here on: to be called before the first event.
    pub fn listen(&mut self, keeper: Box<dyn Keeper>) {
        self.clients.sessions.facts().listen(keeper);
    }

    /// All that happens from here on is written down: to be called before the first event.
    pub fn write_down(&mut self, journal: Scribe) {
        self.clients.sessions.facts().write_down(journal);
    }

    /// Where it is written down, if it is.
    pub fn journal(&mut self) -> Option<&mut Scribe> {
        self.clients.sessions.facts().journal()
    }

    /// The wall clock stands like this: to be told before the first event, and when it was set, as far as somebody listens.
    pub fn on_wall_clock(&mut self, now_ms: u64, unix: UnixMs) {
        let clock = WallClock::new(now_ms, unix);
        self.clients.sessions.facts().set_clock(clock);
    }

    /// A connection has been accepted.
    pub fn on_accept(&mut self, now_ms: u64, peer: Peer) -> ConnId {
        self.clients.desk.counters.connections_accepted += 1;
        let conn = self.clients.open(now_ms, peer);
        if self.clients.desk.settings.connection_messages
            && self.clients.may_tell(now_ms, conn, Doing::Coming)
        {
            let port = self.clients.listener(conn).port;
            self.clients.desk.log(LogKind::Notice, || {
                format!(
                    "New connection from {} on port {port}.",
                    PeerName(peer.address)
                )
            });
        }
        conn
    }

    /// A connection has come from another shard, with the bytes that were received of it there.
    pub fn on_adopt(&mut self, now_ms: u64, handover: Handover) -> ConnId {
        let conn = self.clients.open(now_ms, handover.peer);
        self.clients
            .peers
            .particulars
            .certify(conn, handover.identity);
        self.on_bytes(now_ms, conn, &handover.received);
        conn
    }

    /// A send is over and the socket took `written` bytes of it; 0 if it was cancelled or failed (`on_eof` follows then).
    /// Returns what was left to be sent then.
    pub fn on_sent(&mut self, now_ms: u64, conn: ConnId, written: usize) -> Rest {
        self.clients.desk.counters.bytes_sent += written as u64;
        let entry = &self.clients.peers.conns[conn.index()];
        let (is_traced, is_established) = (entry.is_traced(), entry.is_established());
        if is_traced {
            self.clients.show_sent(now_ms, conn, written);
        }
        let rest = self.clients.out.sent(conn, written);
        if is_established {
            self.pump_after_send(now_ms, conn);
        }
        self.end_event(now_ms);
        rest
    }

    /// Nothing of a connection is in flight any more; its number may be used again.
    pub fn on_closed(&mut self, now_ms: u64, conn: ConnId) {
        self.forget_conn(now_ms, conn);
        self.end_event(now_ms);
    }

    /// Publishes a message of the broker's own.
    pub fn on_publish(&mut self, now_ms: u64, message: Message) {
        let message = Arc::new(message);
        self.route(now_ms, &mut Outgoing::shared(&message, now_ms), None);
        self.end_event(now_ms);
    }

    /// The address of a connection's client.
    pub fn address(&self, conn: ConnId) -> IpAddr {
        self.clients.peers.conns[conn.index()].peer().address.ip()
    }

    /// Whether CONNECT was accepted on this shard, so that the connection stays here.
    pub fn is_established(&self, conn: ConnId) -> bool {
        self.clients.peers.is_established(conn)
    }

    /// The next thing for the world to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.clients.desk.effects.pop_front() {
            return Some(effect);
        }
        self.clients
            .out
            .next_cancel()
            .map(|conn| Effect::CancelSend { conn })
    }

    /// A connection with output and no send in flight; each is returned once until it has new output.
    #[inline]
    pub fn next_dirty(&mut self) -> Option<ConnId> {
        self.clients.out.next_dirty()
    }

    /// Whether something is still to be sent to a connection, at once or when a gate opens.
    pub fn has_output(&self, conn: ConnId) -> bool {
        self.clients.out.pending(conn) > 0
    }

    /// Whether something waits behind what `gather` has given of a connection's output.
    #[inline]
    pub fn has_more(&self, conn: ConnId) -> bool {
        self.clients.out.has_more(conn)
    }

    /// Marks output of a connection as in flight and adds where it is to `slices` (not cleared): at most
    /// `limits::SEND_RANGES_MAX`, and `max` bytes. They stay valid and unchanged until `on_sent`. Returns the bytes; 0 for
    /// nothing to send.
    #[inline]
    pub fn gather(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        max: usize,
        slices: &mut Vec<Slice>,
    ) -> usize {
        self.clients
            .out
            .gather(conn, (now_ms / 1000) as u32, max, slices)
    }

    /// The send in flight goes on: some of what it became on its way to the socket has been taken.
    pub fn on_progress(&mut self, now_ms: u64, conn: ConnId) {
        self.clients.out.progressed(conn, (now_ms / 1000) as u32);
    }

    /// Copies what `gather` has marked as in flight.
    pub fn gathered_into(&self, conn: ConnId, out: &mut Vec<u8>) {
        self.clients.out.gathered_into(conn, out);
    }

    /// Whether packets for a connection must not share a TLS record.
    pub fn splits(&self, conn: ConnId) -> bool {
        match self.clients.listener(conn).records {
            Records::Full => false,
            Records::ByVersion => self.clients.peers.conns[conn.index()].version() != Version::V5,
            Records::Packet => true,
        }
    }

    /// Appends the lengths of the packets that `gather` has marked as in flight; the first and the last may be parts of one.
    pub fn parts(&self, conn: ConnId, parts: &mut Vec<u32>) {
        self.clients.out.parts(conn, parts);
    }

    /// Messages that have been delivered.
    #[inline]
    pub fn delivered(&self) -> u64 {
        self.clients.desk.counters.publish_sent
    }

    /// What has been counted.
    pub fn counters(&mut self) -> &Counters {
        let counters = &mut self.clients.desk.counters;
        counters.retained_messages = self.routing.retained.len() as u64;
        counters.retained_bytes = self.routing.retained.bytes() as u64;
        counters.stored_messages = self.clients.memory.stored.messages();
        counters.stored_bytes = self.clients.memory.stored.bytes();
        counters.outbound_bytes = self.clients.out.pending_total();
        counters.traces = self.clients.traces.len() as u64;
        counters.trace_events_left_out = self.clients.traces.left_out();
        counters
    }
}
