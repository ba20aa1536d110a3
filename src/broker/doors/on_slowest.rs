//! Somebody wants to know which clients lag most; those who have not acknowledged a message for long are told of in the log.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::settings::LogKind;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::session::SlowPolicy;

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
            let policy = clients.peers.conns[conn.index()].policy();
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
    pub(in crate::broker) fn session_bytes(&self, session: SessionId) -> u64 {
        let queue = self.sessions.queue(session);
        queue.map_or(0, |queue| queue.bytes())
    }
}
