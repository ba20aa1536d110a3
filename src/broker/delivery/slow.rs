//! Clients that do not take messages as fast as they come: what their policy makes of that (`slow_consumer_policy`).
//!
//! QoS 0 messages wait in the connection's output, up to a bound that falls as memory becomes short; others, and all
//! where only the newest of each topic is wanted, wait with the session.

use std::sync::Arc;

use crate::broker::clients::Clients;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::routing::Grant;
use crate::session::{Origin, SlowPolicy, Way};

impl Clients {
    /// Whether a connection lags so far behind that only the newest message of each topic is to wait for it.
    pub(crate) fn wants_latest(&self, conn: ConnId) -> bool {
        self.peers.conns[conn.index()].policy() == Some(SlowPolicy::Latest)
            && self.out.pending(conn) > limits::LATEST_BYTES_MAX
    }

    /// Bytes pending for a connection up to which what waits with its session follows.
    pub(crate) fn pump_bytes_max(&self, conn: ConnId) -> u32 {
        match self.peers.conns[conn.index()].policy() {
            Some(SlowPolicy::Latest) => limits::LATEST_BYTES_MAX,
            _ => limits::PUMP_BYTES_MAX,
        }
    }

    /// Bytes that may be pending for a connection. Those who lag alike do not all reach it with the same message, which would
    /// hold up everybody else while the queues of all of them are walked.
    pub(crate) fn outbound_max_of(&self, conn: ConnId) -> u32 {
        let step = self.memory.outbound_max / (4 * limits::OUTBOUND_BOUNDS);
        self.memory.outbound_max - conn.0 % limits::OUTBOUND_BOUNDS * step
    }

    /// Much is pending for a connection: whether there is room for so many bytes more, after what its policy does.
    #[cold]
    pub(crate) fn has_room_for(&mut self, conn: ConnId, len: u32) -> bool {
        let pending = self.out.pending(conn);
        let after = u64::from(pending) + u64::from(len);
        pending == 0 || after <= u64::from(self.outbound_max_of(conn)) || self.makes_room(conn)
    }

    /// Too much is pending for a connection: whether there is room for one more message after what its policy does.
    fn makes_room(&mut self, conn: ConnId) -> bool {
        let makes_room = match self.peers.conns[conn.index()].policy() {
            None | Some(SlowPolicy::DropOldest | SlowPolicy::Latest) => {
                let max = self.outbound_max_of(conn);
                let dropped = self
                    .out
                    .drop_oldest(conn, max - max / limits::OUTBOUND_SHORTENED_DIVISOR);
                self.desk.counters.publish_dropped += dropped.messages;
                self.out.pending(conn) <= self.memory.outbound_max
            }
            Some(SlowPolicy::DropNewest) => false,
            Some(SlowPolicy::Disconnect) => {
                self.end_slow(conn);
                false
            }
        };
        self.desk.counters.publish_dropped += u64::from(!makes_room);
        makes_room
    }

    /// A session's queue is full: what its policy does with a message.
    #[cold]
    pub(crate) fn on_full_queue(
        &mut self,
        session: SessionId,
        grant: Grant,
        origin: Origin,
        message: &Arc<Message>,
    ) {
        self.desk.counters.publish_dropped += 1;
        match self.sessions.get(session).and_then(|entry| entry.policy()) {
            None | Some(SlowPolicy::DropNewest) => self.note_dropped(session, message),
            Some(SlowPolicy::DropOldest | SlowPolicy::Latest) => {
                match self.drop_oldest_waiting(session, message.payload.len() as u64) {
                    true => self.enqueue(session, grant, origin, message),
                    false => self.note_dropped(session, message),
                }
            }
            Some(SlowPolicy::Disconnect) => {
                if let Some(conn) = self.sessions.conn_of(session) {
                    self.end_slow(conn);
                }
            }
        }
    }

    /// Drops the oldest messages that wait for a session until one of so many bytes finds a place; false if it does not:
    /// what is retained, or belongs to a group, is not given up for another.
    fn drop_oldest_waiting(&mut self, session: SessionId, bytes: u64) -> bool {
        let bounds = self.bounds(None);
        let mut dropped = 0;
        while let Some(queue) = self.sessions.queue(session)
            && queue.is_full(bytes, &bounds)
        {
            let is_ordinary = |front: Way| front.origin == Origin::ORDINARY;
            if !queue.front().is_some_and(is_ordinary) {
                return false;
            }
            let entry = self.sessions.change(session);
            if let Some(oldest) = entry.and_then(|mut entry| entry.unqueue()) {
                // The first one is counted in the place of the new one.
                self.desk.counters.publish_dropped += u64::from(dropped > 0);
                dropped += 1;
                self.memory
                    .note_waits_no_longer(self.sessions.backlog_mut(), &oldest.message);
                self.note_dropped(session, &oldest.message);
            }
        }
        true
    }

    /// A message was dropped for a session for want of room.
    pub(crate) fn note_dropped(&mut self, session: SessionId, message: &Message) {
        if let Some(mut entry) = self.sessions.change(session) {
            entry.note_dropped(message);
            entry.charge(&mut self.memory.lease);
        }
    }

    /// Whether a message that its publisher sends again was dropped for this session before: then it is again.
    #[cold]
    pub(crate) fn drops_again(&mut self, session: SessionId, message: &Message) -> bool {
        let queue = self.sessions.queue(session);
        let drops = queue.is_some_and(|queue| queue.has_dropped(message));
        if drops && let Some(mut entry) = self.sessions.change(session) {
            entry.note_dropped(message); // so that it is known for as long as it comes again
        }
        self.desk.counters.publish_dropped += u64::from(drops);
        drops
    }

    /// Ends a connection for being slow, with the event at hand.
    fn end_slow(&mut self, conn: ConnId) {
        if !self.peers.overflowing.contains(&conn) {
            self.desk.counters.clients_slow += 1;
            self.peers.overflowing.push(conn);
        }
    }
}
