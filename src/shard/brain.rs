//! What the thread of a shard asks of its brain. There is one brain, `Broker`; the trait is the seam at which the
//! thread is tested with scripted ones.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::broker::{
    Broker, CloseCause, Counters, Deed, Done, Effect, Handover, MeshMessage, Peer, Query, Reply,
    Settings, UnixMs, Verdict,
};
use crate::budget::Account;
use crate::chunk::Chunk;
use crate::ids::{ConnId, ShardId};
use crate::journal::Legacy;
use crate::mqtt::ReasonCode;
use crate::mqtt::message::Message;

use crate::outbound::{Rest, Slice};

/// Events in, effects out; see `Broker`, whose methods these are.
pub(crate) trait Brain {
    /// A connection was accepted here.
    fn on_accept(&mut self, now_ms: u64, peer: Peer) -> ConnId;
    /// A connection came from another shard.
    fn on_adopt(&mut self, now_ms: u64, handover: Handover) -> ConnId;
    /// Bytes arrived.
    fn on_bytes(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]);
    /// The peer closed its side, or the connection is broken. At most once per connection, unless an error follows an
    /// end that the brain has not closed the connection for yet.
    fn on_eof(&mut self, now_ms: u64, conn: ConnId, cause: CloseCause);
    /// The send in flight is over; so many bytes were taken. Returns what was left then.
    fn on_sent(&mut self, now_ms: u64, conn: ConnId, written: usize) -> Rest;
    /// Nothing of the connection is in flight any more.
    fn on_closed(&mut self, now_ms: u64, conn: ConnId);
    /// Messages of other shards follow, once a turn.
    fn begin_mesh(&mut self);
    /// Whether one of this shard is to be taken now: else it stays in its ring, until something else has come.
    fn takes_from(&self, from: ShardId) -> bool;
    /// Whether more waits in front of the mesh than should.
    fn on_congestion(&mut self, is_congested: bool);
    /// A message from another shard.
    fn on_mesh(&mut self, now_ms: u64, from: ShardId, message: MeshMessage);
    /// A publication of the broker itself.
    fn on_publish(&mut self, now_ms: u64, message: Message);
    /// The time of `next_deadline` has come, and all that had come to the shard by then has been handled.
    fn on_timers(&mut self, now_ms: u64);
    /// The time of `next_deadline` has come, and something may be still to be handled.
    fn on_timers_behind(&mut self, now_ms: u64);
    /// The shard has stood still for so long until now.
    fn on_standstill(&mut self, now_ms: u64, lost_ms: u64);
    /// When `on_timers` is to be called.
    fn next_deadline(&self) -> Option<u64>;
    /// The broker ends.
    fn on_drain(&mut self, now_ms: u64);
    /// A password has been checked.
    fn on_verified(&mut self, now_ms: u64, conn: ConnId, ticket: u32, verdict: Verdict);
    /// The configuration has been read again.
    fn on_reload(&mut self, now_ms: u64, settings: Arc<Settings>);
    /// Whether nothing is to be received from the connection while it is held or its password is checked.
    fn is_waiting(&self, conn: ConnId) -> bool;
    /// The address of the client, as long as the connection is open; `None` if it is not to be counted by that.
    fn address(&self, conn: ConnId) -> Option<IpAddr>;
    /// Whether the connection stays on this shard.
    fn is_established(&self, conn: ConnId) -> bool;
    /// What to do, one thing at a time.
    fn next_effect(&mut self) -> Option<Effect>;
    /// A connection with output and no send in flight.
    fn next_dirty(&mut self) -> Option<ConnId>;
    /// Appends where the next bytes to send are, at most `limits::SEND_RANGES_MAX` places and `max` bytes, valid and
    /// unchanged until `on_sent`; returns how many bytes that is.
    fn gather(&mut self, now_ms: u64, conn: ConnId, max: usize, slices: &mut Vec<Slice>) -> usize;
    /// Whether packets for the connection must not share a TLS record.
    fn splits(&self, conn: ConnId) -> bool;
    /// Appends the lengths of the packets that `gather` has pointed at; the first and the last may be parts of one.
    fn parts(&self, conn: ConnId, parts: &mut Vec<u32>);
    /// The send in flight goes on, and is not over.
    fn on_progress(&mut self, now_ms: u64, conn: ConnId);
    /// The transport cannot go on, for this reason; `on_eof` follows.
    fn on_transport_failed(&mut self, now_ms: u64, conn: ConnId, reason: &str);
    /// What the transport knows of a client, before its first bytes.
    fn on_identified(&mut self, conn: ConnId, source: Option<SocketAddr>, user: Option<Box<str>>);
    /// The thread beside the brain holds so many bytes of an account now.
    fn charge(&mut self, account: Account, level: u64);
    /// Whether one more connection may be let in only to be told why it is refused.
    fn may_turn_away(&self) -> bool;
    /// A connection that has just been accepted is one of those.
    fn turn_away(&mut self, conn: ConnId, reason: ReasonCode);
    /// The run before has left this. Chunks that are written meanwhile go to `hand_over`.
    fn on_restore(&mut self, now_ms: u64, legacy: &Legacy, hand_over: &mut dyn FnMut(Chunk));
    /// Whether other shards do not know yet what this one has taken up.
    fn is_restoring(&self) -> bool;
    /// How the wall clock stands.
    fn on_wall_clock(&mut self, now_ms: u64, unix: UnixMs);
    /// A turn ends as far as what is written down goes; its chunks follow.
    fn end_turn(&mut self, now_ms: u64);
    /// A checkpoint of what is written down begins, unless one is under way.
    fn begin_checkpoint(&mut self, now_ms: u64);
    /// The number of the last one that is complete, counted from 1: said when its last turn has ended.
    fn complete_checkpoint(&self) -> u64;
    /// The next chunk that is to be written, and whether a checkpoint begins with it.
    fn next_chunk(&mut self) -> Option<(Chunk, bool)>;
    /// A chunk has been written, and may be used again.
    fn give_chunk_back(&mut self, chunk: Chunk);
    /// So many chunks are durable.
    fn on_durable(&mut self, now_ms: u64, chunks: u64);
    /// Whether more can be written down.
    fn on_store(&mut self, is_open: bool);
    /// Whether all that was written down is durable.
    fn is_all_durable(&mut self) -> bool;
    /// Whether something is still to be sent to a connection, at once or when a gate opens.
    fn has_output(&self, conn: ConnId) -> bool;
    /// Whether something waits behind what `gather` has given.
    fn has_more(&self, conn: ConnId) -> bool;
    /// The end of a turn, for what is to be done once in each; true if free memory is to be given back to the system.
    fn settle(&mut self, now_ms: u64) -> bool;
    /// Gives up what is only kept for reuse, so that it can be given back to the system.
    fn trim(&mut self);
    /// Messages that it has delivered: what a receive was followed by.
    fn delivered(&self) -> u64;
    /// Somebody asks a page of what there is.
    fn on_query(&mut self, now_ms: u64, query: Query) -> Reply;
    /// An administrator wants something done.
    fn on_deed(&mut self, now_ms: u64, deed: Deed) -> Done;
    /// What it has counted.
    fn counters(&mut self) -> &Counters;
}

impl Brain for Broker {
    fn on_accept(&mut self, now_ms: u64, peer: Peer) -> ConnId {
        Broker::on_accept(self, now_ms, peer)
    }

    fn on_adopt(&mut self, now_ms: u64, handover: Handover) -> ConnId {
        Broker::on_adopt(self, now_ms, handover)
    }

    #[inline]
    fn on_bytes(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        Broker::on_bytes(self, now_ms, conn, bytes)
    }

    fn on_eof(&mut self, now_ms: u64, conn: ConnId, cause: CloseCause) {
        Broker::on_eof(self, now_ms, conn, cause)
    }

    #[inline]
    fn on_sent(&mut self, now_ms: u64, conn: ConnId, written: usize) -> Rest {
        Broker::on_sent(self, now_ms, conn, written)
    }

    fn on_closed(&mut self, now_ms: u64, conn: ConnId) {
        Broker::on_closed(self, now_ms, conn)
    }

    #[inline]
    fn begin_mesh(&mut self) {
        Broker::begin_mesh(self)
    }

    #[inline]
    fn takes_from(&self, from: ShardId) -> bool {
        Broker::takes_from(self, from)
    }

    #[inline]
    fn on_congestion(&mut self, is_congested: bool) {
        Broker::on_congestion(self, is_congested)
    }

    #[inline]
    fn on_mesh(&mut self, now_ms: u64, from: ShardId, message: MeshMessage) {
        Broker::on_mesh(self, now_ms, from, message)
    }

    fn on_publish(&mut self, now_ms: u64, message: Message) {
        Broker::on_publish(self, now_ms, message)
    }

    fn on_timers(&mut self, now_ms: u64) {
        Broker::on_timers(self, now_ms)
    }

    fn on_timers_behind(&mut self, now_ms: u64) {
        Broker::on_timers_behind(self, now_ms)
    }

    fn on_standstill(&mut self, now_ms: u64, lost_ms: u64) {
        Broker::on_standstill(self, now_ms, lost_ms)
    }

    #[inline]
    fn next_deadline(&self) -> Option<u64> {
        Broker::next_deadline(self)
    }

    fn on_drain(&mut self, now_ms: u64) {
        Broker::on_drain(self, now_ms)
    }

    fn on_reload(&mut self, now_ms: u64, settings: Arc<Settings>) {
        Broker::on_reload(self, now_ms, settings)
    }

    fn on_verified(&mut self, now_ms: u64, conn: ConnId, ticket: u32, verdict: Verdict) {
        Broker::on_verified(self, now_ms, conn, ticket, verdict)
    }

    #[inline]
    fn is_waiting(&self, conn: ConnId) -> bool {
        Broker::is_waiting(self, conn)
    }

    fn address(&self, conn: ConnId) -> Option<IpAddr> {
        Some(Broker::address(self, conn))
    }

    #[inline]
    fn is_established(&self, conn: ConnId) -> bool {
        Broker::is_established(self, conn)
    }

    #[inline]
    fn next_effect(&mut self) -> Option<Effect> {
        Broker::next_effect(self)
    }

    #[inline]
    fn next_dirty(&mut self) -> Option<ConnId> {
        Broker::next_dirty(self)
    }

    #[inline]
    fn gather(&mut self, now_ms: u64, conn: ConnId, max: usize, slices: &mut Vec<Slice>) -> usize {
        Broker::gather(self, now_ms, conn, max, slices)
    }

    fn splits(&self, conn: ConnId) -> bool {
        Broker::splits(self, conn)
    }

    fn parts(&self, conn: ConnId, parts: &mut Vec<u32>) {
        Broker::parts(self, conn, parts)
    }

    fn on_progress(&mut self, now_ms: u64, conn: ConnId) {
        Broker::on_progress(self, now_ms, conn)
    }

    fn on_transport_failed(&mut self, now_ms: u64, conn: ConnId, reason: &str) {
        Broker::on_transport_failed(self, now_ms, conn, reason)
    }

    fn on_identified(&mut self, conn: ConnId, source: Option<SocketAddr>, user: Option<Box<str>>) {
        Broker::on_identified(self, conn, source, user)
    }

    fn charge(&mut self, account: Account, level: u64) {
        Broker::charge(self, account, level)
    }

    fn may_turn_away(&self) -> bool {
        Broker::may_turn_away(self)
    }

    fn turn_away(&mut self, conn: ConnId, reason: ReasonCode) {
        Broker::turn_away(self, conn, reason)
    }

    fn on_restore(&mut self, now_ms: u64, legacy: &Legacy, hand_over: &mut dyn FnMut(Chunk)) {
        Broker::on_restore(self, now_ms, legacy, hand_over)
    }

    fn is_restoring(&self) -> bool {
        Broker::is_restoring(self)
    }

    fn on_wall_clock(&mut self, now_ms: u64, unix: UnixMs) {
        Broker::on_wall_clock(self, now_ms, unix)
    }

    #[inline]
    fn end_turn(&mut self, now_ms: u64) {
        Broker::end_turn(self, now_ms)
    }

    fn begin_checkpoint(&mut self, now_ms: u64) {
        Broker::begin_checkpoint(self, now_ms)
    }

    fn complete_checkpoint(&self) -> u64 {
        self.checkpoint_progress().complete
    }

    #[inline]
    fn next_chunk(&mut self) -> Option<(Chunk, bool)> {
        Broker::next_chunk(self)
    }

    fn give_chunk_back(&mut self, chunk: Chunk) {
        Broker::give_chunk_back(self, chunk)
    }

    fn on_durable(&mut self, now_ms: u64, chunks: u64) {
        Broker::on_durable(self, now_ms, chunks)
    }

    fn on_store(&mut self, is_open: bool) {
        Broker::on_store(self, is_open)
    }

    fn is_all_durable(&mut self) -> bool {
        Broker::is_all_durable(self)
    }

    fn has_output(&self, conn: ConnId) -> bool {
        Broker::has_output(self, conn)
    }

    #[inline]
    fn has_more(&self, conn: ConnId) -> bool {
        Broker::has_more(self, conn)
    }

    #[inline]
    fn settle(&mut self, now_ms: u64) -> bool {
        Broker::settle(self, now_ms)
    }

    fn trim(&mut self) {
        Broker::trim(self)
    }

    #[inline]
    fn delivered(&self) -> u64 {
        Broker::delivered(self)
    }

    fn on_query(&mut self, now_ms: u64, query: Query) -> Reply {
        Broker::on_query(self, now_ms, query)
    }

    fn on_deed(&mut self, now_ms: u64, deed: Deed) -> Done {
        Broker::on_deed(self, now_ms, deed)
    }

    fn counters(&mut self) -> &Counters {
        Broker::counters(self)
    }
}
