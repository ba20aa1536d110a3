//! PUBLISH from a client: checked, its alias resolved, routed, acknowledged (MQTT 5, 3.3).

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::outcome::Outcome;
use crate::broker::placement::{is_broker_topic, owner_of_topic};
use crate::broker::retained::asking::can_be_told;
use crate::broker::settings::LogKind;
use crate::budget::Account;
use crate::escape::Name;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::message::{NEVER, Sent};
use crate::mqtt::{AckKind, PacketId, Publish, QoS, ReasonCode, TopicName, Version};
use crate::session::Aliases;

impl Broker {
    /// PUBLISH has come from a client.
    pub(in crate::broker) fn on_client_publish(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
    ) -> Outcome {
        let outcome = match (self.check_publish(conn, publish), publish.topic_name()) {
            (Err(reason), _) => Outcome::End(reason),
            (Ok(()), Some(topic)) if publish.properties.topic_alias.is_none() => {
                self.publish_mounted(now_ms, conn, publish, topic)
            }
            (Ok(()), _) => self.publish_with_alias(now_ms, conn, publish),
        };
        if !matches!(outcome, Outcome::Wait(_)) {
            let counters = &mut self.clients.desk.counters;
            counters.publish_came(publish.qos, publish.payload.len());
        }
        outcome
    }

    fn publish_mounted(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
    ) -> Outcome {
        let listener = self.clients.listener(conn);
        if listener.mount_point.is_empty() {
            return self.publish_to(now_ms, conn, publish, topic);
        }
        let topic = listener.mounted(topic.as_str());
        match TopicName::new(&topic) {
            Some(topic) => self.publish_to(now_ms, conn, publish, topic),
            // The mount point makes it too long.
            None => Outcome::End(ReasonCode::TOPIC_NAME_INVALID),
        }
    }

    /// What the listener does not allow, as the reason for the DISCONNECT that answers it.
    fn check_publish(&self, conn: ConnId, publish: &Publish<'_>) -> Result<(), ReasonCode> {
        if publish.qos > self.clients.listener(conn).maximum_qos() {
            return Err(ReasonCode::QOS_NOT_SUPPORTED); // MQTT-3.2.2-11
        }
        if publish.retain && !self.clients.desk.settings.retain_available {
            return Err(ReasonCode::RETAIN_NOT_SUPPORTED); // MQTT-3.2.2-14
        }
        if publish.properties.has_subscription_ids() {
            return Err(ReasonCode::PROTOCOL_ERROR); // MQTT-3.3.4-6
        }
        Ok(())
    }

    /// Resolves or sets a topic alias (MQTT 5, 3.3.2.3.4).
    fn publish_with_alias(&mut self, now_ms: u64, conn: ConnId, publish: &Publish<'_>) -> Outcome {
        let max = self.clients.listener(conn).max_topic_alias;
        let Some(alias) = publish.properties.topic_alias else {
            return Outcome::End(ReasonCode::PROTOCOL_ERROR);
        };
        if alias.get() > max {
            return Outcome::End(ReasonCode::TOPIC_ALIAS_INVALID); // MQTT-3.3.2-9
        }
        if let Some(topic) = publish.topic_name() {
            let entry = &mut self.clients.peers.conns[conn.index()];
            let before = entry.aliases.as_ref().map_or(0, |aliases| aliases.memory());
            let aliases = entry
                .aliases
                .get_or_insert_with(|| Box::new(Aliases::new(0)));
            aliases.inbound.set(alias, topic);
            let after = aliases.memory();
            self.clients
                .memory
                .lease
                .change(Account::Connections, before, after);
            if after > before && self.clients.memory.lease.room(Account::Connections) == 0 {
                return Outcome::End(ReasonCode::QUOTA_EXCEEDED);
            }
            return self.publish_mounted(now_ms, conn, publish, topic);
        }
        let aliases = self.clients.peers.conns[conn.index()].aliases.as_ref();
        let Some(topic) = aliases
            .and_then(|aliases| aliases.inbound.get(alias))
            .cloned()
        else {
            return Outcome::End(ReasonCode::PROTOCOL_ERROR);
        };
        self.publish_mounted(now_ms, conn, publish, topic.as_name())
    }

    /// Routes and acknowledges a message whose topic is known in full.
    fn publish_to(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
    ) -> Outcome {
        if self
            .clients
            .desk
            .settings
            .quotas
            .is_too_much(topic.as_str())
        {
            return self.refuse_topic(now_ms, conn, publish, topic.as_str());
        }
        if publish.retain
            && let Some(waits) = self.waits_for_owner(now_ms, conn, publish, topic.as_str())
        {
            return waits;
        }
        match publish.packet_id {
            None => {
                if self
                    .may_publish(now_ms, conn, publish, topic.as_str())
                    .is_ok()
                {
                    self.route_publish(now_ms, conn, publish, topic);
                }
            }
            Some(id) if publish.qos == QoS::AtLeastOnce => {
                if self.refuses_unkept(now_ms, conn, publish, (topic.as_str(), id)) {
                    return Outcome::Done;
                }
                let reason = match self.may_publish(now_ms, conn, publish, topic.as_str()) {
                    Ok(()) => routed(self.route_publish(now_ms, conn, publish, topic)),
                    Err(reason) => reason,
                };
                self.acknowledge(conn, AckKind::Puback, id, reason);
            }
            Some(id) => return self.publish_exactly_once(now_ms, conn, publish, topic, id),
        }
        Outcome::Done
    }

    /// QoS 2: passed on when it first comes; the identifier is kept until PUBREL (MQTT-4.3.3-10).
    fn publish_exactly_once(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
        id: PacketId,
    ) -> Outcome {
        let max = self.clients.inbound_max();
        let is_v5 = self.clients.peers.conns[conn.index()].version() == Version::V5;
        let Some(session) = self
            .clients
            .peers
            .session_of(conn)
            .and_then(|session| self.clients.sessions.get(session))
        else {
            return Outcome::Done;
        };
        let inbound = session.inbound();
        if inbound.is_some_and(|inbound| inbound.contains(id.get())) {
            self.acknowledge(conn, AckKind::Pubrec, id, ReasonCode::SUCCESS);
            return Outcome::Done;
        }
        let open = inbound.map_or(0, |inbound| inbound.len());
        if self.refuses_unkept(now_ms, conn, publish, (topic.as_str(), id)) {
            return Outcome::Done;
        }
        if is_v5 && open >= usize::from(max) {
            // Some libraries do not count, and would come back and do the same for ever: a little more is borne.
            if open >= usize::from(max) + limits::INBOUND_BORNE {
                return Outcome::End(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED); // MQTT-3.3.4-9
            }
            self.clients.desk.counters.receive_maximum_exceeded += 1;
        }
        if let Err(reason) = self.may_publish(now_ms, conn, publish, topic.as_str()) {
            // 3.x has no place for a reason: the exchange goes on, the message is gone.
            if !is_v5 {
                self.note_inbound(conn, id);
            }
            self.acknowledge(conn, AckKind::Pubrec, id, reason);
            return Outcome::Done;
        }
        self.note_inbound(conn, id);
        let reason = routed(self.route_publish(now_ms, conn, publish, topic));
        self.acknowledge(conn, AckKind::Pubrec, id, reason);
        Outcome::Done
    }

    fn note_inbound(&mut self, conn: ConnId, id: PacketId) {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return;
        };
        let Some(mut entry) = self.clients.sessions.change(session) else {
            return;
        };
        // Only the set changes: the rest need not be counted.
        let more = entry.store_inbound(id.get());
        let lease = &mut self.clients.memory.lease;
        lease.change(Account::Connections, 0, more);
    }

    /// Why a message is not passed on although its packet is in order.
    fn may_publish(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Result<(), ReasonCode> {
        let judged = self.judge_publish(conn, publish, topic);
        if let Err(reason) = judged {
            let what = (publish, topic);
            self.clients
                .show_refused_publish(now_ms, conn, what, reason);
        }
        judged
    }

    #[inline]
    fn judge_publish(
        &mut self,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Result<(), ReasonCode> {
        let limit = self.clients.desk.settings.message_size_limit;
        if limit > 0 && publish.payload.len() > limit as usize {
            self.clients.desk.counters.publish_oversize += 1;
            return Err(ReasonCode::QUOTA_EXCEEDED); // an acknowledgement knows no 0x95
        }
        let session = self.clients.peers.session_of(conn);
        let may = |session| self.clients.sessions.may_write(session, topic);
        if is_broker_topic(topic) || !session.is_some_and(may) {
            self.clients.note_denied(conn, publish, topic);
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        if publish.retain
            && (self.is_refused_by_owner(conn, topic))
                .unwrap_or_else(|| self.is_short_to_retain(conn, publish, topic))
        {
            self.clients.desk.counters.retained_refused += 1;
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        Ok(())
    }

    fn route_publish(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
    ) -> bool {
        let bytes = publish.payload.len();
        self.busiest.note(now_ms, topic.as_str(), bytes);
        let forwarded;
        let properties = match publish.properties.forward_whole {
            true => publish.properties.raw,
            false => {
                let mut bytes = Vec::with_capacity(publish.properties.forwardable_len());
                publish.properties.forward_into(&mut bytes);
                forwarded = bytes;
                &forwarded
            }
        };
        let (payload, qos, retain) = (publish.payload, publish.qos, publish.retain);
        let mut outgoing = Outgoing::borrowed(topic, payload, properties, qos, retain);
        if let Some(expiry_s) = publish.properties.message_expiry {
            outgoing.expires_at_ms = now_ms + u64::from(expiry_s) * 1000;
            outgoing.expiry_s = Some(expiry_s);
        }
        if publish.qos == QoS::AtLeastOnce {
            outgoing.sent = Sent {
                id: publish.packet_id.map_or(0, |id| id.get()),
                again: publish.dup,
            };
        }
        debug_assert!(outgoing.expires_at_ms == NEVER || outgoing.expiry_s.is_some());
        if let Some(session) = self.clients.peers.session_of(conn) {
            if publish.retain {
                self.ordering.mark(session);
            }
            outgoing.publisher = session.0;
            outgoing.may_follow = self.ordering.may_follow(session);
            let entry = self.clients.sessions.get(session);
            outgoing.origin = entry.map_or(0, |entry| entry.serial());
        }
        if publish.retain {
            outgoing.author = self.author_of(conn);
        }
        self.route(now_ms, &mut outgoing, None)
    }

    /// PUBREL: the client will not send the message again; the identifier is free (MQTT-4.3.3-11).
    pub(in crate::broker) fn on_pubrel(&mut self, _now_ms: u64, conn: ConnId, id: PacketId) {
        let session = self
            .clients
            .peers
            .session_of(conn)
            .and_then(|session| self.clients.sessions.change(session));
        let was_there = session.is_some_and(|mut session| session.release_inbound(id.get()));
        let reason = if was_there {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        };
        self.acknowledge(conn, AckKind::Pubcomp, id, reason);
    }

    /// Whether a message is not accepted because there is no memory to retain it. Only who can be told is refused: the
    /// messages of others are passed on, and not retained. Where another shard owns the topic, it decides (`asking`).
    pub(in crate::broker) fn is_short_to_retain(
        &self,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> bool {
        let cost = self.retained_cost(conn, topic, publish);
        can_be_told(self.clients.peers.conns[conn.index()].version(), publish)
            && owner_of_topic(topic, self.clients.desk.shards) == self.clients.desk.shard
            && self.retained_room(topic, cost).is_none()
    }
}

fn routed(somebody_wanted_it: bool) -> ReasonCode {
    if somebody_wanted_it {
        ReasonCode::SUCCESS
    } else {
        ReasonCode::NO_MATCHING_SUBSCRIBERS
    }
}

impl Clients {
    /// QoS 2 messages that a client may have open, and QoS 1 and 2 ones that it is told it may (receive maximum).
    pub(crate) fn inbound_max(&self) -> u16 {
        self.desk.settings.in_flight_max()
    }

    /// A message was not taken because its publisher may not publish there.
    #[cold]
    pub(crate) fn note_denied(&mut self, conn: ConnId, publish: &Publish<'_>, topic: &str) {
        self.desk.counters.publish_denied += 1;
        let topic = Name(topic);
        self.log_client(LogKind::Debug, conn, |client| {
            format!(
                "Denied PUBLISH from {client} (d{}, q{}, r{}, m{}, '{topic}', ... ({} bytes))",
                u8::from(publish.dup),
                publish.qos as u8,
                u8::from(publish.retain),
                publish.packet_id.map_or(0, |id| id.get()),
                publish.payload.len()
            )
        });
    }

    /// Writes a line about an acknowledgement that says no.
    #[cold]
    pub(crate) fn log_acknowledgement(
        &mut self,
        conn: ConnId,
        kind: AckKind,
        id: PacketId,
        reason: ReasonCode,
    ) {
        self.log_client(LogKind::Debug, conn, |client| {
            format!(
                "Sending {kind:?} to {client} (m{}, rc{})",
                id.get(),
                reason.0
            )
        });
    }
}
