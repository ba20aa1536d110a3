//! What holds a connection, and how it goes on: it publishes too fast, memory is short, the turn is full, or owners of topics
//! have too much of it under way. The states are those of `peers::state`.

use crate::broker::Broker;
use crate::broker::effect::Effect;
use crate::broker::outcome::Until;
use crate::broker::peers::peer::CloseCause;
use crate::broker::peers::state::CaughtUp;
use crate::broker::timers::{TICK_MS, tick};
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::PacketType;

impl Broker {
    /// Until when this packet has to wait: its client publishes too fast, memory is short, the turn is full, or too much of what was
    /// published or answered is under way. `None` if it has not to.
    #[inline]
    pub(in crate::broker) fn must_wait(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        first: u8,
    ) -> Option<Until> {
        if first >> 4 == PacketType::Publish.first() >> 4 {
            let presses = self.ordering.under_way.presses();
            let is_bounded = self.clients.peers.rates.is_some()
                || self.clients.memory.slows
                || self.is_turn_full()
                || self.held.is_full()
                || presses;
            return match is_bounded {
                true => self.is_too_fast(now_ms, conn, first),
                false => None,
            };
        }
        if first == PacketType::Disconnect.first() {
            return self.goodbye_waits(now_ms, conn);
        }
        match self.has_subscribed_enough(first) {
            true => self.interrupt(conn),
            false => None,
        }
    }

    fn is_too_fast(&mut self, now_ms: u64, conn: ConnId, first: u8) -> Option<Until> {
        if self.is_turn_full() {
            return self.interrupt(conn);
        }
        if self.has_verdict(conn) {
            return None; // it has waited already
        }
        let entry = &self.clients.peers.conns[conn.index()];
        if !entry.state.may_be_held() {
            return None;
        }
        if self.held.is_full() {
            return Some(Until::Ms(now_ms + TICK_MS));
        }
        if self.ordering.under_way.presses() && self.waits_for_owners(conn, first & 1 != 0) {
            return Some(Until::PassedOn);
        }
        let entry = &self.clients.peers.conns[conn.index()];
        let was_open = entry.state.is_open();
        let rates = self.clients.peers.rates.as_mut();
        let by_rate = rates.and_then(|rates| rates.take(conn, now_ms).err());
        // What was held goes on after a while although memory is still short: slower, not stopped.
        let is_slowed = was_open && self.clients.memory.slows;
        let wait_ms = by_rate.or(is_slowed.then_some(limits::SLOW_MS))?;
        if was_open && by_rate.is_none() {
            self.clients.desk.counters.publish_slowed += 1;
        } else if was_open {
            self.clients.desk.counters.publish_paused += 1;
            self.clients.log_refusal(now_ms, conn, |client| {
                format!("{client} publishes too fast and has to wait (max_publish_rate).")
            });
        }
        // No earlier than the next tick: what comes together is handled together.
        Some(Until::Ms(now_ms + wait_ms.max(TICK_MS)))
    }

    /// A packet of a connection that ends: whether it is a message, which is dropped.
    #[cold]
    pub(in crate::broker) fn is_dropped(&mut self, first: u8) -> bool {
        let is_dropped = first >> 4 == PacketType::Publish.first() >> 4;
        self.clients.desk.counters.publish_dropped += u64::from(is_dropped);
        is_dropped
    }

    /// Whether a connection is held.
    #[inline]
    pub(in crate::broker) fn is_held(&self, conn: ConnId) -> bool {
        self.clients.peers.conns[conn.index()].state.is_held()
    }

    /// The peer of a connection has closed its side: true if that is to be told again when it has been caught up with.
    pub(in crate::broker) fn ends_later(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        cause: CloseCause,
    ) -> bool {
        let goodbye = cause == CloseCause::Goodbye;
        let is_orderly = goodbye || cause == CloseCause::Eof;
        let waits = is_orderly && (self.is_held(conn) || self.holds_end(now_ms, conn));
        if waits {
            let entry = &mut self.clients.peers.conns[conn.index()];
            entry.state.hold_to_end(goodbye);
            entry.active_at = tick(now_ms);
        }
        waits
    }

    /// Whether the end of a connection has to wait for answers; then it is held from here on.
    fn holds_end(&mut self, now_ms: u64, conn: ConnId) -> bool {
        let until = self.goodbye_waits(now_ms, conn);
        if let Some(until) = until {
            self.hold_until(conn, until);
        }
        until.is_some()
    }

    /// From here on what comes from a connection is kept, and nothing more is received from it.
    #[cold]
    pub(in crate::broker) fn hold_until(&mut self, conn: ConnId, until: Until) {
        let was_open = self.clients.peers.state(conn).hold();
        match until {
            Until::Ms(at_ms) => self.clients.arm_conn(conn, at_ms),
            Until::NextTurn => self.clients.peers.next_turn.push_back(conn),
            // Who waits is known there (`under_way`, `waits`).
            Until::PassedOn | Until::Over(_) => {}
        }
        if was_open {
            self.clients.desk.effects.push_back(Effect::Pause { conn });
        }
    }

    /// The time for a held connection to go on has come, perhaps.
    pub(in crate::broker) fn catch_up(&mut self, now_ms: u64, conn: ConnId) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        let catching_up = entry.state.catch_up();
        let ended_ms = u64::from(entry.active_at) * TICK_MS;
        if !catching_up.ends() {
            entry.active_at = tick(now_ms);
        } else if now_ms > ended_ms + limits::HELD_AFTER_END_MS {
            return self.end_held(now_ms, conn, catching_up.goodbye());
        }
        self.collect_replies(conn, |broker| {
            if let Some(held) = broker.take_partial(conn) {
                broker.packets(now_ms, conn, &held);
            }
        });
        self.end_verdict(conn);
        if catching_up.ends() && !self.is_held(conn) {
            self.holds_end(now_ms, conn);
        }
        match self.clients.peers.state(conn).caught_up(catching_up) {
            CaughtUp::HeldAnew | CaughtUp::Gone => {}
            CaughtUp::Ends { goodbye } => self.end_held(now_ms, conn, goodbye),
            CaughtUp::GoesOn => {
                self.clients.arm_silence(now_ms, conn);
                self.clients.desk.effects.push_back(Effect::Resume { conn });
            }
        }
    }

    /// Handles what is kept of a held connection that ends now, but for the messages: a goodbye among it counts.
    pub(in crate::broker) fn drop_held(&mut self, now_ms: u64, conn: ConnId) {
        self.clients.peers.state(conn).drop_messages();
        if let Some(held) = self.take_partial(conn) {
            self.packets(now_ms, conn, &held);
        }
        self.clients.peers.state(conn).dropped();
    }

    /// A held connection whose peer has closed ends.
    fn end_held(&mut self, now_ms: u64, conn: ConnId, goodbye: bool) {
        self.drop_held(now_ms, conn);
        let cause = match goodbye {
            true => CloseCause::Goodbye,
            false => CloseCause::Eof,
        };
        // Also after its goodbye: then only the socket is left to be closed.
        self.on_eof(now_ms, conn, cause);
    }
}
