//! What is due is done once there has been a look (`looks`); other shards ask for one.

use crate::broker::Broker;
use crate::broker::peers::admission::key_of;
use crate::broker::timers::TICK_MS;
use crate::ids::SessionId;
use crate::limits;

impl Broker {
    /// Whether something waits for this shard to look.
    #[cfg(test)]
    pub fn waits_for_look(&self) -> bool {
        self.looks.waits()
    }

    /// Whether something has waited for a look for half of what it may.
    #[cfg(test)]
    pub fn looks_are_late(&self, now_ms: u64) -> bool {
        self.looks.are_late(now_ms)
    }

    /// Does what there has been a look for.
    pub(in crate::broker) fn act_after_looks(&mut self, now_ms: u64, has_looked: bool) {
        for _ in 0..limits::TIMERS_PER_TURN {
            let Some(conn) = self.looks.next_conn(now_ms, has_looked) else {
                break;
            };
            self.end_overdue(now_ms, conn);
        }
        self.looks.go_on(now_ms, has_looked, &mut self.clients.desk);
        for _ in 0..limits::TIMERS_PER_TURN {
            let Some((session, looked_ms)) = self.looks.next_session() else {
                break;
            };
            self.end_absence(now_ms, looked_ms, session);
        }
        self.looks
            .answer(now_ms, has_looked, &mut self.clients.desk);
    }

    /// All shards have looked at what had come by `looked_ms`: if the client of a session was not among it, its will is
    /// published, or the session ends, whichever was due by then.
    fn end_absence(&mut self, now_ms: u64, looked_ms: u64, session: SessionId) {
        if self.clients.sessions.conn_of(session).is_some() {
            return;
        }
        let Some(entry) = self.clients.sessions.get(session) else {
            return;
        };
        let due_ms = entry.next_deadline_ms();
        if due_ms > looked_ms {
            // It was away twice, or its number is another's.
            return self.clients.arm_session(session, due_ms);
        }
        let client_id = entry.client_id();
        // Its client's password is being checked.
        if self.waits.have_key(key_of(client_id)) && now_ms < due_ms + limits::CONNECT_MS_MAX {
            return self.clients.arm_session(session, now_ms + TICK_MS);
        }
        self.end_absence_by(now_ms, looked_ms, session);
        if let Some(entry) = self.clients.sessions.get(session) {
            let next_ms = entry.next_deadline_ms();
            self.clients.arm_session(session, next_ms);
        }
    }

    /// The client of a session comes. What was due when the run began is done first, as it was not to be in time for that.
    pub(in crate::broker) fn end_absence_before(&mut self, now_ms: u64, session: SessionId) {
        let Some(began_ms) = self.restored_ms else {
            return;
        };
        let is_away = self.clients.sessions.conn_of(session).is_none();
        let entry = self.clients.sessions.get(session);
        if is_away && entry.is_some_and(|entry| entry.next_deadline_ms() <= began_ms) {
            self.end_absence_by(now_ms, began_ms, session);
        }
    }

    /// The session has ended by then, or its will is due.
    fn end_absence_by(&mut self, now_ms: u64, by_ms: u64, session: SessionId) {
        let entry = self.clients.sessions.get(session);
        if entry.is_some_and(|entry| entry.ends_at_ms() <= by_ms) {
            self.clients.desk.counters.clients_expired += 1;
            return self.end_session(now_ms, session);
        }
        self.publish_will(now_ms, session);
    }
}
