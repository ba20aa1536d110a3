//! What one client may ask for: length and depth of topics, wildcards of anonymous clients, messages a second.
//!
//! A client that publishes too fast is not read from until it may go on: nothing is lost, no answer says so, and TCP
//! makes it wait. What was received of it already is kept with the start of an incomplete packet. When its peer closes
//! meanwhile, it is caught up with for `limits::HELD_AFTER_END_MS`.
//!
//! Invariant: a connection that is held has a deadline at which it goes on, is in the list of those that go on in the
//! next turn (`cut`), waits until owners of topics have passed on what it sent (`under_way`), or for an answer (`waits`).

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::doors::on_connect::user_name;
use crate::broker::effect::Effect;
use crate::broker::interest::requested::RequestedFilter;
use crate::broker::lines::About;
use crate::broker::outcome::{Outcome, Until};
use crate::broker::peers::conn::Stage;
use crate::broker::peers::peer::CloseCause;
use crate::broker::settings::{LogKind, Quotas};
use crate::broker::timers::{TICK_MS, tick};
use crate::escape::Name;
use crate::ids::ConnId;
use crate::ids::NONE;
use crate::limits;
use crate::mqtt::{AckKind, Connect, PacketType, Publish, QoS, ReasonCode, Version};

/// Whether a connection's packets are handled as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They are.
    On,
    /// It has published too fast: what comes is kept.
    Held,
    /// Held, and its peer has closed its side: its end comes behind what it has sent.
    HeldToEnd {
        /// It has said so in the terms of its transport.
        goodbye: bool,
    },
    /// What was kept is being handled.
    Catching,
    /// What was kept is being handled, but for its messages: the connection ends.
    Dropping,
}

impl Reading {
    /// Whether what comes is kept.
    #[inline]
    pub fn is_held(self) -> bool {
        matches!(self, Reading::Held | Reading::HeldToEnd { .. })
    }
}

impl Quotas {
    /// Whether a topic name or filter is longer or has more levels than allowed. A short one, as nearly all are, is
    /// not looked at: each level but the last takes a byte.
    #[inline]
    pub fn is_too_much(&self, topic: &str) -> bool {
        topic.len() >= usize::from(self.topic_levels.min(self.topic_bytes)) && self.is_over(topic)
    }

    #[cold]
    fn is_over(&self, topic: &str) -> bool {
        let separators = || topic.bytes().filter(|&byte| byte == b'/').count();
        topic.len() > usize::from(self.topic_bytes)
            || separators() >= usize::from(self.topic_levels)
    }

    /// Whether a filter has a wildcard too close to its start. `$SYS` is small, and for everybody to see.
    pub fn is_too_wide(&self, filter: &str) -> bool {
        let levels = || filter.split('/').take(usize::from(self.wildcard_depth));
        !filter.starts_with("$SYS/") && levels().any(|level| level == "+" || level == "#")
    }
}

impl Clients {
    /// Writes a line about something that a client is refused, unless there are too many such lines already.
    #[cold]
    pub fn log_refusal(&mut self, now_ms: u64, conn: ConnId, text: impl FnOnce(&str) -> String) {
        self.desk.tell_left_out(now_ms);
        if self.desk.lines.admit(About::Request) {
            self.log_client(LogKind::Notice, conn, text);
        }
    }
}

impl Broker {
    /// Whether nobody has vouched for who this client is.
    pub(in crate::broker) fn is_anonymous(&self, conn: ConnId, connect: &Connect<'_>) -> bool {
        let is_certified = self.clients.peers.particulars.certified(conn).is_some();
        let has_password = self.clients.listener(conn).passwords.is_some();
        !is_certified && (user_name(connect).is_none() || !has_password)
    }

    /// Answers a PUBLISH to a topic that is longer or deeper than allowed. MQTT 5 has a reason for that in PUBACK and
    /// PUBREC; where there is no such answer, the connection ends, as it does in Mosquitto. (MQTT 5, 3.4.2.1.)
    #[cold]
    pub(in crate::broker) fn refuse_topic(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
    ) -> Outcome {
        self.clients.desk.counters.topics_refused += 1;
        self.clients.log_refusal(now_ms, conn, |client| {
            format!("{client} may not publish to a topic of that length or depth.")
        });
        let is_v5 = self.clients.peers.conns[conn.index()].version == Version::V5;
        let reason = ReasonCode::TOPIC_NAME_INVALID;
        match publish.packet_id.filter(|_| is_v5) {
            None => return Outcome::End(reason),
            Some(id) if publish.qos == QoS::AtLeastOnce => {
                self.acknowledge(conn, AckKind::Puback, id, reason);
            }
            Some(id) => self.acknowledge(conn, AckKind::Pubrec, id, reason),
        }
        Outcome::Done
    }

    /// Why a client may not subscribe to this filter, by its form.
    pub(in crate::broker) fn refuses_filter(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        requested: &RequestedFilter<'_>,
    ) -> Option<ReasonCode> {
        let quotas = self.clients.desk.settings.quotas;
        let inner = requested.inner();
        let reason = if quotas.is_too_much(inner) {
            ReasonCode::TOPIC_FILTER_INVALID
        } else if self.clients.peers.conns[conn.index()].is_anonymous && quotas.is_too_wide(inner) {
            ReasonCode::NOT_AUTHORIZED
        } else {
            return None;
        };
        self.note_refused_subscription(now_ms, conn, requested, reason);
        Some(reason)
    }

    /// A subscription is refused, for this reason.
    #[cold]
    pub(in crate::broker) fn note_refused_subscription(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        requested: &RequestedFilter<'_>,
        reason: ReasonCode,
    ) {
        self.clients.desk.counters.subscriptions_refused += 1;
        let shown = limits::LOGGED_FILTER_CHARS;
        let filter: String = requested.text().chars().take(shown).collect();
        self.clients.log_refusal(now_ms, conn, |client| {
            let reason = reason.name();
            let filter = Name(&filter);
            format!("{client} may not subscribe to '{filter}': {reason}.")
        });
    }

    /// Until when this packet has to wait because its client publishes too fast, or the turn is full; `None` if it has not to.
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
            true => self.cut(conn),
            false => None,
        }
    }

    fn is_too_fast(&mut self, now_ms: u64, conn: ConnId, first: u8) -> Option<Until> {
        if self.is_turn_full() {
            return self.cut(conn);
        }
        if self.has_verdict(conn) {
            return None; // it has waited already
        }
        let entry = &self.clients.peers.conns[conn.index()];
        if entry.stage != Stage::Established || entry.reading == Reading::Dropping {
            return None;
        }
        if self.held.is_full() {
            return Some(Until::Ms(now_ms + TICK_MS));
        }
        if self.ordering.under_way.presses() && self.waits_for_owners(conn, first & 1 != 0) {
            return Some(Until::PassedOn);
        }
        let entry = &self.clients.peers.conns[conn.index()];
        let was_on = entry.reading == Reading::On;
        let rates = self.clients.peers.rates.as_mut();
        let by_rate = rates.and_then(|rates| rates.take(conn, now_ms).err());
        // What was held goes on after a while although memory is still short: slower, not stopped.
        let is_slowed = was_on && self.clients.memory.slows;
        let wait_ms = by_rate.or(is_slowed.then_some(limits::SLOW_MS))?;
        if was_on && by_rate.is_none() {
            self.clients.desk.counters.publish_slowed += 1;
        } else if was_on {
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
        let entry = &self.clients.peers.conns[conn.index()];
        entry.reading.is_held() && entry.stage == Stage::Established
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
            entry.reading = Reading::HeldToEnd { goodbye };
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
        let reading = &mut self.clients.peers.conns[conn.index()].reading;
        let was_on = std::mem::replace(reading, Reading::Held) == Reading::On;
        match until {
            Until::Ms(at_ms) => self.clients.arm_conn(conn, at_ms),
            Until::NextTurn => self.clients.peers.next_turn.push_back(conn),
            // Who waits is known there (`under_way`, `waits`).
            Until::PassedOn | Until::Over(_) => {}
        }
        if was_on {
            self.clients.desk.effects.push_back(Effect::Pause { conn });
        }
    }

    /// The time for a held connection to go on has come, perhaps.
    pub(in crate::broker) fn catch_up(&mut self, now_ms: u64, conn: ConnId) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        let before = std::mem::replace(&mut entry.reading, Reading::Catching);
        let ended_ms = u64::from(entry.active_at) * TICK_MS;
        if before == Reading::Held {
            entry.active_at = tick(now_ms);
        } else if now_ms > ended_ms + limits::HELD_AFTER_END_MS {
            return self.end_held(now_ms, conn, before);
        }
        self.clients.peers.replies_to = conn;
        if let Some(held) = self.clients.take_partial(conn) {
            self.packets(now_ms, conn, &held);
        }
        self.clients.flush_replies();
        self.clients.peers.replies_to = ConnId(NONE);
        self.end_verdict(conn);
        let entry = &mut self.clients.peers.conns[conn.index()];
        if entry.reading == Reading::Held {
            entry.reading = before;
            return;
        }
        if before != Reading::Held && self.holds_end(now_ms, conn) {
            self.clients.peers.conns[conn.index()].reading = before;
            return;
        }
        let entry = &mut self.clients.peers.conns[conn.index()];
        entry.reading = Reading::On;
        if entry.stage != Stage::Established {
            return;
        }
        let keep_alive_ms = u64::from(entry.keep_alive_s) * 1500;
        if before != Reading::Held {
            return self.end_held(now_ms, conn, before);
        }
        if keep_alive_ms > 0 {
            self.clients.arm_conn(conn, now_ms + keep_alive_ms);
        }
        self.clients.desk.effects.push_back(Effect::Resume { conn });
    }

    /// Handles what is kept of a held connection that ends now, but for the messages: a goodbye among it counts.
    pub(in crate::broker) fn drop_held(&mut self, now_ms: u64, conn: ConnId) {
        let entry = &mut self.clients.peers.conns[conn.index()];
        entry.reading = Reading::Dropping;
        if let Some(held) = self.clients.take_partial(conn) {
            self.packets(now_ms, conn, &held);
        }
        self.clients.peers.conns[conn.index()].reading = Reading::On;
    }

    /// A held connection whose peer has closed ends.
    fn end_held(&mut self, now_ms: u64, conn: ConnId, held: Reading) {
        self.drop_held(now_ms, conn);
        let cause = match held {
            Reading::HeldToEnd { goodbye: true } => CloseCause::Goodbye,
            _ => CloseCause::Eof,
        };
        // Also after its goodbye: then only the socket is left to be closed.
        self.on_eof(now_ms, conn, cause);
    }
}
