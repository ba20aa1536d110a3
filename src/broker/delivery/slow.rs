//! Clients that do not take messages as fast as they come: what their policy makes of that (`slow_consumer_policy`).
//!
//! QoS 0 messages wait in the connection's output, up to a bound that falls as memory becomes short; others, and all
//! where only the newest of each topic is wanted, wait with the session.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::settings::LogKind;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::routing::Grant;
use crate::session::{Origin, SlowPolicy, Way};

impl Clients {
    /// Whether a connection lags so far behind that only the newest message of each topic is to wait for it.
    pub fn wants_latest(&self, conn: ConnId) -> bool {
        self.peers.conns[conn.index()].policy == Some(SlowPolicy::Latest)
            && self.out.pending(conn) > limits::LATEST_BYTES_MAX
    }

    /// Bytes pending for a connection up to which what waits with its session follows.
    pub fn pump_bytes_max(&self, conn: ConnId) -> u32 {
        match self.peers.conns[conn.index()].policy {
            Some(SlowPolicy::Latest) => limits::LATEST_BYTES_MAX,
            _ => limits::PUMP_BYTES_MAX,
        }
    }

    /// Bytes that may be pending for a connection. Those who lag alike do not all reach it with the same message, which would
    /// hold up everybody else while the queues of all of them are walked.
    pub fn outbound_max_of(&self, conn: ConnId) -> u32 {
        let step = self.memory.outbound_max / (4 * limits::OUTBOUND_BOUNDS);
        self.memory.outbound_max - conn.0 % limits::OUTBOUND_BOUNDS * step
    }

    /// Much is pending for a connection: whether there is room for so many bytes more, after what its policy does.
    #[cold]
    pub fn has_room_for(&mut self, conn: ConnId, len: u32) -> bool {
        let pending = self.out.pending(conn);
        let after = u64::from(pending) + u64::from(len);
        pending == 0 || after <= u64::from(self.outbound_max_of(conn)) || self.makes_room(conn)
    }

    /// Too much is pending for a connection: whether there is room for one more message after what its policy does.
    fn makes_room(&mut self, conn: ConnId) -> bool {
        let makes_room = match self.peers.conns[conn.index()].policy {
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
    pub fn on_full_queue(
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
                self.note_waits_no_longer(&oldest.message);
                self.note_dropped(session, &oldest.message);
            }
        }
        true
    }

    /// A message was dropped for a session for want of room.
    pub fn note_dropped(&mut self, session: SessionId, message: &Message) {
        if let Some(mut entry) = self.sessions.change(session) {
            entry.note_dropped(message);
            entry.charge(&mut self.memory.lease);
        }
    }

    /// Whether a message that its publisher sends again was dropped for this session before: then it is again.
    #[cold]
    pub fn drops_again(&mut self, session: SessionId, message: &Message) -> bool {
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

/// A client that lags, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Its client identifier.
    pub client: Box<str>,
    /// Bytes that wait for it: in its output and with its session.
    pub bytes: u64,
    /// Messages that wait for it; of those in its output as many as its first ones make likely.
    pub messages: u64,
    /// Seconds since its socket has taken something, while it has more to take.
    pub seconds: u32,
    /// Seconds for which it has not acknowledged the oldest message in flight, as far as it was looked.
    pub unacknowledged: u32,
    /// What happens when it is too slow; empty without a policy of its own.
    pub policy: &'static str,
}

impl Broker {
    /// The clients of this shard that lag most, by bytes: at most `limits::SLOWEST_SHOWN`, and nobody who is only busy.
    pub fn slowest(&mut self, now_ms: u64) -> Vec<Lag> {
        let now_s = (now_ms / 1000) as u32;
        let stuck = self.clients.find_stuck(now_s);
        let clients = &self.clients;
        let mut found: Vec<(u64, u32, SessionId, ConnId)> = Vec::new();
        for (index, entry) in clients.peers.conns.indexed() {
            let conn = ConnId(index as u32);
            let Some(session) = clients.peers.session_of(conn) else {
                continue;
            };
            let waiting = clients.session_bytes(session);
            let bytes = u64::from(clients.out.pending(conn)) + waiting;
            let since_s = clients.out.in_flight_since(conn).unwrap_or(now_s);
            let seconds = now_s.saturating_sub(since_s);
            let lags = seconds >= limits::LAG_SECONDS_MIN || bytes >= limits::LAG_BYTES_MIN;
            let is_stuck = stuck.contains_key(&session);
            if ((bytes == 0 || !lags) && !is_stuck) || !entry.is_established() {
                continue;
            }
            found.push((bytes, seconds, session, conn));
            if found.len() >= 2 * limits::SLOWEST_SHOWN {
                keep_most(&mut found);
            }
        }
        keep_most(&mut found);
        let lag = |&(bytes, seconds, session, conn): &(u64, u32, SessionId, ConnId)| {
            let entry = clients.sessions.get(session)?;
            let policy = clients.peers.conns[conn.index()].policy;
            Some(Lag {
                client: entry.client_id().into(),
                bytes,
                messages: clients.out.packets(conn) + clients.sessions.queued(session) as u64,
                seconds,
                unacknowledged: stuck.get(&session).copied().unwrap_or(0),
                policy: policy.map_or("", SlowPolicy::name),
            })
        };
        found.iter().filter_map(lag).collect()
    }
}

impl Clients {
    /// Clients that are there and have not acknowledged a message for long, by session, and for how many seconds. Each
    /// message is said once.
    fn find_stuck(&mut self, now_s: u32) -> HashMap<SessionId, u32, FixedState> {
        let mut stuck = HashMap::default();
        let mut lines = 0;
        for index in 0..self.sessions.places() {
            let session = SessionId(index as u32);
            if self.sessions.conn_of(session).is_none() {
                continue;
            }
            let Some(mut entry) = self.sessions.change(session) else {
                continue;
            };
            let seconds = entry.stuck_for(now_s);
            if seconds < limits::STUCK_SECONDS_MIN {
                continue;
            }
            if stuck.len() < 2 * limits::SLOWEST_SHOWN {
                stuck.insert(session, seconds);
            }
            if lines < limits::REFUSAL_LINES_PER_S && entry.says_stuck() {
                lines += 1;
                self.log_stuck(session, seconds);
            }
        }
        stuck
    }

    fn log_stuck(&mut self, session: SessionId, seconds: u32) {
        let Some(entry) = self.sessions.get(session) else {
            return;
        };
        let client_id = entry.client_id();
        self.desk.log(LogKind::Notice, || {
            format!("{client_id} has not acknowledged a message for {seconds} s.")
        });
    }
}

/// Keeps those with most bytes, in that order.
fn keep_most(found: &mut Vec<(u64, u32, SessionId, ConnId)>) {
    found.sort_by_key(|&(bytes, ..)| std::cmp::Reverse(bytes));
    found.truncate(limits::SLOWEST_SHOWN);
}

impl Clients {
    /// Payload bytes that wait with a session.
    fn session_bytes(&self, session: SessionId) -> u64 {
        let queue = self.sessions.queue(session);
        queue.map_or(0, |queue| queue.bytes())
    }
}
