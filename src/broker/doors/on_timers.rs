//! Deadlines: CONNECT that does not come, keep alive, the end of a close, wills, sessions, sockets that take nothing.

use crate::broker::Broker;
use crate::broker::effect::CloseHow;
use crate::broker::peers::state::Stage;
use crate::broker::timers::{DeadlineOf, TICK_MS};
use crate::budget::Account;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::ReasonCode;

impl Broker {
    /// When `on_timers` is to be called next, in milliseconds; `None` while nothing can be due.
    pub fn next_deadline(&self) -> Option<u64> {
        if !self.clients.peers.next_turn.is_empty()
            || self.ordering.has_work()
            || !self.offers.is_empty()
            || self.checkpoint.is_writing()
        {
            return Some(0);
        }
        let is_swept = self.clients.out.in_flight() > 0
            || self.clients.memory.lease.held(Account::Packets) > 0;
        let sweep_ms = self.sweeps.sockets_ms.max(self.looks.again_ms());
        let sweep = is_swept.then_some(sweep_ms);
        let retained = (!self.routing.retained.is_empty()).then_some(self.sweeps.retained_ms);
        let lookup = self.lookups.next_ms();
        let look = self.next_pressure_look_ms();
        let lines = self.clients.desk.lines.due_ms();
        let timers = self.clients.desk.timers.next_ms();
        let looks = self.looks.next_ms();
        let waits = self.waits.next_ms();
        let waits = waits.map(|due_ms| due_ms.max(self.looks.again_ms()));
        let journal = self.clients.sessions.written_by_ms();
        let traces = self.clients.traces.next_ms();
        [
            timers, looks, waits, sweep, retained, lookup, look, lines, journal, traces,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due. All that had come to this shard by `now_ms` has been handled.
    pub fn on_timers(&mut self, now_ms: u64) {
        self.run_timers(now_ms, true);
    }

    /// The same while something that has come may be still to be handled: what that could change waits (`looks`).
    pub fn on_timers_behind(&mut self, now_ms: u64) {
        self.run_timers(now_ms, false);
    }

    fn run_timers(&mut self, now_ms: u64, has_looked: bool) {
        for _ in 0..limits::TIMERS_PER_TURN {
            let Some((at, owner)) = self.clients.desk.timers.pop(now_ms) else {
                break;
            };
            match owner {
                DeadlineOf::Conn(conn) => self.on_conn_timer(now_ms, conn, at),
                DeadlineOf::Session(session) => self.on_session_timer(now_ms, session, at),
            }
        }
        self.end_waits(now_ms, has_looked);
        self.act_after_looks(now_ms, has_looked);
        self.release_in_turn(now_ms);
        self.go_on_offering(now_ms);
        self.go_on(now_ms);
        self.ordering.tell_passed_on(&mut self.clients.desk);
        self.run_lookups(now_ms);
        self.clients.desk.tell_left_out(now_ms);
        self.clients.end_traces(now_ms);
        let sweep_ms = match has_looked {
            true => self.sweeps.sockets_ms,
            false => self.sweeps.sockets_ms + limits::LOOK_MS_MAX,
        };
        if now_ms >= sweep_ms {
            self.sweeps.sockets_ms = now_ms + limits::STALL_SWEEP_MS;
            self.close_stalled(now_ms);
            self.close_slow_packets(now_ms);
        }
        if now_ms >= self.sweeps.retained_ms {
            self.sweeps.retained_ms = now_ms + limits::RETAINED_SWEEP_MS;
            self.sweep_retained(now_ms);
        }
        self.looks.put_off(now_ms, has_looked);
        self.end_event(now_ms);
    }

    fn on_conn_timer(&mut self, now_ms: u64, conn: ConnId, at: u32) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        if entry.timer_at != at {
            return;
        }
        entry.timer_at = 0;
        if self.is_held(conn) {
            return self.catch_up(now_ms, conn);
        }
        match self.conn_due_ms(conn) {
            Some(due_ms) if now_ms < due_ms => self.clients.arm_conn(conn, due_ms),
            Some(_) => self.looks.note_conn(now_ms, conn),
            None => {}
        }
    }

    /// When a connection is to be closed unless something comes.
    fn conn_due_ms(&self, conn: ConnId) -> Option<u64> {
        let entry = self.clients.peers.conns.get(conn.index())?;
        let active_ms = u64::from(entry.active_at) * TICK_MS;
        match entry.stage() {
            Stage::Free | Stage::Moved => None,
            // What it waits for ends then (`waits`).
            Stage::Verifying => None,
            Stage::Connecting => Some(active_ms + limits::CONNECT_MS_MAX),
            Stage::Closing => Some(active_ms + limits::LINGER_MS_MAX),
            // And no less: what it sent may have come at the end of the tick.
            Stage::Established => {
                let silence_ms = entry.silence_ms_max();
                silence_ms.map(|silence_ms| active_ms + TICK_MS + silence_ms)
            }
        }
    }

    /// A connection's time is over, and there has been a look at what had come from it.
    pub(in crate::broker) fn end_overdue(&mut self, now_ms: u64, conn: ConnId) {
        let Some(due_ms) = self.conn_due_ms(conn) else {
            return;
        };
        if self.is_held(conn) {
            return; // it has another deadline
        }
        if now_ms < due_ms {
            return self.clients.arm_conn(conn, due_ms);
        }
        match self.clients.peers.stage(conn) {
            Stage::Closing => self.clients.desk.close(conn, CloseHow::Now),
            Stage::Connecting => {
                self.clients.log_end(now_ms, conn, "exceeded timeout");
                self.shut(now_ms, conn, CloseHow::Now);
            }
            _ => self.disconnect(now_ms, conn, ReasonCode::KEEP_ALIVE_TIMEOUT),
        }
    }

    fn on_session_timer(&mut self, now_ms: u64, session: SessionId, at: u32) {
        let is_away = self.clients.sessions.conn_of(session).is_none();
        let Some(mut entry) = self.clients.sessions.change(session) else {
            return;
        };
        if entry.timer_at() != at {
            return;
        }
        entry.set_timer(0);
        if !is_away {
            return;
        }
        match entry.next_deadline_ms() {
            due_ms if now_ms < due_ms => self.clients.arm_session(session, due_ms),
            _ => self.looks.note_session(session),
        }
    }

    /// Closes connections that have taken no byte for too long.
    fn close_stalled(&mut self, now_ms: u64) {
        if self.clients.out.in_flight() == 0 {
            return;
        }
        let since_max_s = (now_ms.saturating_sub(limits::STALL_MS_MAX) / 1000) as u32;
        for index in 0..self.clients.out.len() {
            let conn = ConnId(index as u32);
            let is_stalled = self
                .clients
                .out
                .in_flight_since(conn)
                .is_some_and(|since_s| since_s < since_max_s);
            if !is_stalled || self.clients.peers.stage(conn) != Stage::Established {
                continue;
            }
            self.clients.desk.counters.stalled += 1;
            let seconds = limits::STALL_MS_MAX / 1000;
            let why = format!("it has taken nothing for {seconds} s");
            self.clients.log_end(now_ms, conn, &why);
            self.detach(now_ms, conn, true);
            self.shut(now_ms, conn, CloseHow::Now);
        }
    }
}
