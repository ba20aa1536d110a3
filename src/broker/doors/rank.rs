//! The clients of this shard in an order: of a part of all places those that come first. Who asks puts the parts together, so that an
//! order of all sessions is never made in one turn (docs/decisions/0912).

use std::cmp::Reverse;

use crate::broker::clients::Clients;
use crate::broker::queries::{Order, Ranked, RankedPage, Ranking};
use crate::ids::{SessionId, SessionRef};
use crate::limits;
use crate::session::Session;

/// In a figure for the order by lag the bytes are below this bit.
const LAG_SHIFT: u32 = 40;

/// A session that may be among the first.
type Candidate<'a> = (u64, &'a str, SessionRef);

impl Clients {
    /// The first ones in an order of as many as may be looked at for a page.
    pub(in crate::broker) fn rank(&self, now_ms: u64, ranking: &Ranking) -> RankedPage {
        let (mut looks, mut place) = (limits::QUERY_LOOKS_MAX, ranking.from);
        let places = self.sessions.places() as u32;
        let mut found: Vec<Candidate<'_>> = Vec::new();
        while place < places && looks > 0 {
            let session = SessionId(place);
            place += 1;
            looks -= 1;
            let Some(entry) = self.sessions.get(session) else {
                continue;
            };
            let name = entry.client_id();
            let is_behind = ranking.after.as_deref().is_none_or(|after| name > after);
            if is_behind && self.is_meant(&ranking.which, session, entry) {
                looks = looks.saturating_sub(self.looks_beyond(ranking.order, session));
                found.extend(self.candidate(now_ms, ranking.order, session, entry));
            }
        }
        found.sort_unstable_by_key(|&(figure, name, session)| {
            (Reverse(figure), name, session.serial)
        });
        found.truncate(ranking.limit);
        let (rows, horizon) = within_bytes(&found);
        let next = (place < places).then_some(place);
        RankedPage {
            rows,
            next,
            horizon,
        }
    }

    /// What its figure costs beyond the look at the session itself: packets are walked along only where some wait in the output.
    fn looks_beyond(&self, order: Order, session: SessionId) -> usize {
        let has_output = || {
            let conn = self.sessions.conn_of(session);
            conn.is_some_and(|conn| self.out.pending(conn) > 0)
        };
        match order {
            Order::Messages if has_output() => limits::QUERY_PACKETS_LOOKS - 1,
            Order::Messages | Order::Lag | Order::Bytes | Order::Slowest | Order::Name => 0,
        }
    }

    /// `None` for one that has no place in the order.
    fn candidate<'a>(
        &self,
        now_ms: u64,
        order: Order,
        session: SessionId,
        entry: &'a Session,
    ) -> Option<Candidate<'a>> {
        let conn = self.sessions.conn_of(session);
        let bytes = || {
            let output = conn.map_or(0, |conn| self.out.pending(conn));
            u64::from(output) + self.session_bytes(session)
        };
        let figure = match order {
            Order::Name => 0,
            Order::Bytes => bytes(),
            Order::Slowest => {
                Some(bytes()).filter(|&bytes| self.is_slow(now_ms, session, bytes))?
            }
            Order::Lag => {
                let lag_s = conn.map_or(0, |conn| self.lag_s(now_ms, conn));
                let most = (1 << LAG_SHIFT) - 1;
                lag_s.min(1 << (u64::BITS - LAG_SHIFT - 1)) << LAG_SHIFT | bytes().min(most)
            }
            Order::Messages => {
                let packets = conn.map_or(0, |conn| self.out.packets(conn));
                packets + self.sessions.queued(session) as u64
            }
        };
        let name = match order {
            Order::Name => entry.client_id(),
            Order::Lag | Order::Bytes | Order::Slowest | Order::Messages => "",
        };
        let session = SessionRef {
            id: session,
            serial: entry.serial(),
        };
        Some((figure, name, session))
    }

    /// Whether a client is there, of whom so many bytes wait, and lags; one that is only busy does not.
    fn is_slow(&self, now_ms: u64, session: SessionId, bytes: u64) -> bool {
        let conn = self.sessions.conn_of(session);
        let Some(conn) = conn.filter(|&conn| self.peers.is_established(conn)) else {
            return false;
        };
        let lags = self.lag_s(now_ms, conn) >= limits::LAG_SECONDS_MIN.into()
            || bytes >= limits::LAG_BYTES_MIN;
        (bytes > 0 && lags) || self.unacknowledged_s(now_ms, session) >= limits::STUCK_SECONDS_MIN
    }
}

/// Copies names as far as there is room, the first one always. Returns the last one too, if there was no room for all.
fn within_bytes(found: &[Candidate<'_>]) -> (Vec<Ranked>, Option<Box<str>>) {
    let mut left = limits::QUERY_BYTES_MAX;
    let mut rows: Vec<Ranked> = Vec::with_capacity(found.len());
    for &(figure, name, session) in found {
        if name.len() > left
            && let Some(last) = rows.last()
        {
            let horizon = last.name.clone();
            return (rows, Some(horizon));
        }
        left = left.saturating_sub(name.len());
        rows.push(Ranked {
            figure,
            name: name.into(),
            session,
        });
    }
    (rows, None)
}
