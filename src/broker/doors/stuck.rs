//! Clients that have not acknowledged a message for long: looked for while somebody wants to know who is slowest, and told of in the log.

use crate::broker::clients::Clients;
use crate::broker::settings::LogKind;
use crate::escape::Name;
use crate::ids::SessionId;
use crate::limits;

impl Clients {
    /// Looks at as many sessions as one page is made of, from a place on, whose clients are there. Each message is said once; lines for
    /// which there is no room in this second are said at the next look.
    pub(in crate::broker) fn look_for_stuck(&mut self, now_ms: u64, from: u32) {
        let now_s = (now_ms / 1000) as u32;
        let end = self.sessions.places() as u32;
        let end = end.min(from.saturating_add(limits::QUERY_LOOKS_MAX as u32));
        for session in (from..end).map(SessionId) {
            if self.sessions.conn_of(session).is_none() {
                continue;
            }
            let Some(mut entry) = self.sessions.change(session) else {
                continue;
            };
            let seconds = entry.stuck_for(now_s);
            if seconds >= limits::STUCK_SECONDS_MIN
                && self.desk.lines.admits_stuck(now_s)
                && entry.says_stuck()
            {
                self.desk.lines.on_stuck();
                self.log_stuck(session, seconds);
            }
        }
    }

    fn log_stuck(&mut self, session: SessionId, seconds: u32) {
        let Some(entry) = self.sessions.get(session) else {
            return;
        };
        let client_id = Name(entry.client_id());
        self.desk.log(LogKind::Notice, || {
            format!("{client_id} has not acknowledged a message for {seconds} s.")
        });
    }

    /// Seconds for which a client has not acknowledged the oldest message in flight, as of the last look.
    pub(in crate::broker) fn unacknowledged_s(&self, now_ms: u64, session: SessionId) -> u32 {
        let flow = self.sessions.get(session).and_then(|entry| entry.flow());
        flow.map_or(0, |flow| flow.known_stuck_for((now_ms / 1000) as u32))
    }

    /// Payload bytes that wait with a session.
    pub(in crate::broker) fn session_bytes(&self, session: SessionId) -> u64 {
        let queue = self.sessions.queue(session);
        queue.map_or(0, |queue| queue.bytes())
    }
}
