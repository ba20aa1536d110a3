//! What something waited for does not come: its time is over, or who waited is gone.

use crate::broker::Broker;
use crate::broker::continuation::Late;
use crate::broker::effect::CloseHow;
use crate::broker::outcome::Until;
use crate::broker::waits::{Goodbye, Then, WaitOf};
use crate::ids::ConnId;
use crate::limits;

impl Broker {
    /// Ends the waits whose time is over.
    pub(in crate::broker) fn end_waits(&mut self, now_ms: u64, has_looked: bool) {
        for _ in 0..limits::TIMERS_PER_TURN {
            let Some(ticket) = self.waits.next_due(now_ms, has_looked) else {
                return;
            };
            self.on_wait_due(now_ms, ticket);
        }
    }

    fn on_wait_due(&mut self, now_ms: u64, ticket: u32) {
        let Some(conn) = self.waits.conn_of(ticket) else {
            return;
        };
        let late = self.waits.then(ticket).map(Then::be_late);
        match late.unwrap_or(Late::Waits) {
            Late::Waits => return,
            Late::GoesOn => {}
            Late::GivesUp => self.waits.give_up(&mut self.clients.memory.lease, conn),
            Late::Closes(why) => {
                self.clients.log_end(now_ms, conn, why);
                self.detach(now_ms, conn, true);
                return self.shut(now_ms, conn, CloseHow::Now);
            }
        }
        self.go_on_waiting(now_ms, conn);
    }

    /// What a connection is held for has come, or never will.
    pub(in crate::broker) fn go_on_waiting(&mut self, now_ms: u64, conn: ConnId) {
        if self.is_held(conn) {
            self.catch_up(now_ms, conn);
        }
    }

    /// A connection is no more, or parted from its session: it waits for nothing.
    #[inline]
    pub(in crate::broker) fn forget_waits(&mut self, conn: ConnId) {
        if let Some(then) = self.waits.forget(&mut self.clients.memory.lease, conn) {
            self.give_back(then);
        }
    }

    /// A connection goes on without what it has waited for.
    pub(in crate::broker) fn free_from_wait(&mut self, conn: ConnId) {
        if let Some(then) = self.waits.free(&mut self.clients.memory.lease, conn) {
            self.give_back(then);
        }
    }

    /// What was waited for is not needed any more.
    fn give_back(&mut self, then: Then) {
        match then {
            Then::Admit(admission) => self.clients.peers.beginners.take(admission.rank),
            Then::Publish(asked) => self.release_room(asked),
            // Of the others nothing lies elsewhere.
            _ => {}
        }
    }

    /// What a goodbye, or the end of what a client sends, has to wait for (MQTT-3.8.4-1), if for anything: who sees the
    /// connection closed may rely on the answers that it is owed.
    #[cold]
    pub(in crate::broker) fn goodbye_waits(&mut self, now_ms: u64, conn: ConnId) -> Option<Until> {
        let entry = &self.clients.peers.conns[conn.index()];
        if !entry.state.may_be_held() {
            return None;
        }
        if !self.waits.hold_goodbye(conn) {
            return None;
        }
        let ticket = match self.waits.of_conn(conn) {
            Some((ticket, Then::Goodbye(_))) => ticket,
            _ => {
                self.free_from_wait(conn);
                let ticket = self.waits.open(WaitOf::Conn(conn), Then::Goodbye(Goodbye));
                self.waits.end_at(ticket, now_ms + limits::ANSWERS_MS_MAX);
                ticket
            }
        };
        Some(Until::Over(ticket))
    }
}
