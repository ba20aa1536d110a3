//! A message meets its subscribers: matching, and one delivery each.
//!
//! The path of a delivery to a plain client with QoS 0 is `deliver` → `Outgoing::frame` (encoded once) →
//! `Outbound::push` (the subscriber's last range grows): a few nanoseconds. Everything else is off that path.

use std::sync::Arc;

use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::{Frame, Outgoing, expiry_left};
use crate::broker::delivery::overlap::Overlap;
use crate::broker::sessions::hot::{HOT_GUARDED, HOT_PRIVATE, HOT_QOS0_WAITS, HOT_V5, Hot};
use crate::ids::{ConnId, NONE, SessionId};
use crate::journal::{Protection, has};
use crate::limits;
use crate::mqtt::message::Message;
use crate::mqtt::{PacketId, Property, PublishHead, QoS};
use crate::outbound::Range;
use crate::routing::{EntryOptions, Grant};
use crate::session::{Delivery, Origin, Queued, Way, shared_id};

/// Whether a message could be sent in the encoding that many share.
enum AtOnce {
    /// It has been.
    Sent,
    /// Others wait before it, or no more may be in flight.
    Full,
    /// It needs an identifier of the session's own.
    Alone,
}

impl Clients {
    /// A message for a session that has subscribed with these options.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        session: SessionId,
        options: EntryOptions,
        message: &mut Outgoing<'_>,
    ) {
        if options.no_local() && self.is_origin(session, message.origin) {
            return;
        }
        let hot = self.sessions.hot(session);
        if hot.flags & HOT_GUARDED != 0
            && !self
                .sessions
                .may_read(session, message.topic.as_str(), &mut message.stamp)
        {
            return;
        }
        let grant = self.grant(options, message.qos, message.retain);
        let is_plain = hot.flags & (HOT_PRIVATE | HOT_QOS0_WAITS) == 0 && hot.conn != NONE;
        if grant.is_qos0() && is_plain {
            let is_v5 = hot.flags & HOT_V5 != 0;
            let frame = message.frame(&mut self.out, &mut self.order, grant, is_v5);
            self.push_droppable(ConnId(hot.conn), frame, message.payload.len());
            return;
        }
        self.offer(session, hot, grant, Origin::ORDINARY, message);
    }

    /// Delivers to every session of those that overlap, once.
    pub(crate) fn deliver_once(&mut self, overlap: Overlap, message: &mut Outgoing<'_>) {
        let origin = message.origin;
        let counts = |session, options: EntryOptions| {
            !(options.no_local() && self.is_origin(session, origin))
        };
        for merged in overlap.merged(counts) {
            if merged.ids.is_empty() {
                self.deliver(merged.session, merged.options, message);
                continue;
            }
            // Several identifiers make a message of its own, with them among its properties.
            let mut properties = Vec::new();
            for id in merged.ids {
                Property::SubscriptionIdentifier(id).encode(&mut properties);
            }
            properties.extend_from_slice(message.properties);
            let mut own = message.with_properties(&properties);
            self.deliver(merged.session, merged.options, &mut own);
        }
    }

    /// What a delivery is granted of a message that was published with this QoS and RETAIN flag: all deliveries are decided
    /// here.
    #[inline]
    pub(in crate::broker) fn grant(
        &self,
        options: EntryOptions,
        published: QoS,
        retain: bool,
    ) -> Grant {
        let offered = match self.desk.settings.upgrade_outgoing_qos {
            true => QoS::ExactlyOnce,
            false => published,
        };
        options.grant(offered, retain)
    }

    pub(in crate::broker) fn is_origin(&self, session: SessionId, origin: u64) -> bool {
        let session = self.sessions.get(session);
        session.is_some_and(|session| session.serial() == origin)
    }

    /// A message for a session, off the fast path: QoS above 0, a client that is away, encodings of its own.
    pub(crate) fn offer(
        &mut self,
        session: SessionId,
        hot: Hot,
        grant: Grant,
        origin: Origin,
        message: &mut Outgoing<'_>,
    ) {
        if message.sent.again && self.drops_again(session, &message.owned()) {
            return;
        }
        if hot.conn == NONE {
            return self.offer_away(session, grant, origin, message);
        }
        let conn = ConnId(hot.conn);
        if grant.is_qos0() {
            let queue = self.sessions.queue(session);
            let waits = queue.is_some_and(|queue| queue.holds_qos0()) || self.wants_latest(conn);
            return match waits {
                true => self.enqueue(session, grant, origin, message.kept()),
                false => self.send_private(conn, grant, None, false, message),
            };
        }
        match self.send_shared(session, hot, grant, origin, message) {
            AtOnce::Sent => {}
            AtOnce::Full => self.enqueue(session, grant, origin, message.kept()),
            AtOnce::Alone => self.send_numbered(session, conn, grant, origin, message),
        }
    }

    /// A message for a client that is away: kept if the session is, QoS 0 only where it is asked for.
    fn offer_away(
        &mut self,
        session: SessionId,
        grant: Grant,
        origin: Origin,
        message: &mut Outgoing<'_>,
    ) {
        if grant.is_qos0() && !self.desk.settings.queue_qos0_messages && origin != Origin::RETAINED
        {
            return;
        }
        self.enqueue(session, grant, origin, message.kept());
    }

    /// Sends with a packet identifier that all who take this encoding share, if nothing has to wait. An identifier that many share may
    /// be in use here: by the same message for another subscription, or by one from 32,768 messages ago.
    fn send_shared(
        &mut self,
        session: SessionId,
        hot: Hot,
        grant: Grant,
        origin: Origin,
        message: &mut Outgoing<'_>,
    ) -> AtOnce {
        let conn = ConnId(hot.conn);
        let bounds = self.bounds(Some(conn));
        let Some(mut entry) = self.sessions.change(session) else {
            return AtOnce::Sent;
        };
        if self.out.pending(conn) >= self.memory.outbound_max || !entry.is_open(&bounds) {
            return AtOnce::Full;
        }
        if !message.shares_ids || hot.flags & HOT_PRIVATE != 0 {
            return AtOnce::Alone;
        }
        let is_v5 = hot.flags & HOT_V5 != 0;
        let frame = message.frame(&mut self.out, &mut self.order, grant, is_v5);
        if !entry.admits_shared(frame.order) {
            return AtOnce::Alone;
        }
        let id = shared_id(frame.order);
        let keeps_bytes = bounds.in_flight_bytes > 0 || origin.group().is_some();
        let kept = (entry.is_durable() || keeps_bytes).then(|| message.owned());
        if let Some(message) = &kept {
            self.memory.store(message);
        }
        let lease = &mut self.memory.lease;
        entry.sent((id, frame.order), grant, origin, kept, lease);
        self.gate_until_durable(session, conn, grant);
        self.push_frame(conn, frame, grant, message.payload.len());
        AtOnce::Sent
    }

    /// Sends with a packet identifier of the session's own. There is room for one more in flight.
    fn send_numbered(
        &mut self,
        session: SessionId,
        conn: ConnId,
        grant: Grant,
        origin: Origin,
        message: &mut Outgoing<'_>,
    ) {
        let keeps_bytes = self.desk.settings.max_inflight_bytes > 0 || origin.group().is_some();
        let Some(mut entry) = self.sessions.change(session) else {
            return;
        };
        let keeps = entry.is_durable() || keeps_bytes;
        let Some(id) = entry.next_id() else {
            return self.enqueue(session, grant, origin, message.kept());
        };
        if !self.fits(conn, grant, message) {
            self.desk.counters.drop_large();
            return;
        }
        self.order += 1;
        let kept = keeps.then(|| message.owned());
        if let Some(message) = &kept {
            self.memory.store(message);
        }
        if let Some(mut entry) = self.sessions.change(session) {
            let lease = &mut self.memory.lease;
            entry.sent((id, self.order), grant, origin, kept, lease);
        }
        self.gate_until_durable(session, conn, grant);
        self.send_private(conn, grant, PacketId::new(id), false, message);
    }

    /// A QoS 2 message does not leave before its packet identifier is durable: else another one could have that after a crash, and
    /// would be taken for this one (MQTT-4.3.3).
    #[inline]
    fn gate_until_durable(&mut self, session: SessionId, conn: ConnId, grant: Grant) {
        if grant.qos() == QoS::ExactlyOnce
            && has(Protection::Gate)
            && let Some(journal) = self.sessions.facts().journal()
            && journal.is_durable(session.0)
        {
            let turn = journal.turn();
            self.out.gate(conn, turn);
        }
    }

    /// Puts a message behind those that wait, or drops it if a bound is reached.
    pub(crate) fn enqueue(
        &mut self,
        session: SessionId,
        grant: Grant,
        origin: Origin,
        message: &Arc<Message>,
    ) {
        self.memory.turn.count_queued();
        let bounds = self.bounds(None);
        if !self.makes_backlog_room(session, message) {
            self.desk.counters.publish_dropped += 1;
            self.desk.counters.backlog_refused += 1;
            return self.note_dropped(session, message);
        }
        let Some(mut entry) = self.sessions.change(session) else {
            return;
        };
        let queued = entry.put(message, Way { grant, origin }, &bounds);
        entry.charge(&mut self.memory.lease);
        let holds_qos0 = entry.queue().is_some_and(|queue| queue.holds_qos0());
        match queued {
            Queued::Yes => {}
            Queued::Full => return self.on_full_queue(session, grant, origin, message),
            Queued::Replaced(older) => {
                self.desk.counters.publish_replaced += 1;
                self.desk.counters.publish_dropped += 1;
                entry.note_dropped(&older.message);
                entry.charge(&mut self.memory.lease);
                self.memory
                    .note_waits_no_longer(self.sessions.backlog_mut(), &older.message);
            }
        }
        self.memory.note_waits(self.sessions.backlog_mut(), message);
        if holds_qos0 {
            self.sessions.set_qos0_waits(session, true);
        }
    }

    /// Whether a message is within the packet size that the client accepts (MQTT-3.1.2-24).
    pub(crate) fn fits(&self, conn: ConnId, grant: Grant, message: &Outgoing<'_>) -> bool {
        let max = self.peers.conns[conn.index()].packet_bytes_max();
        if max == u32::MAX {
            return true;
        }
        let version = self.peers.conns[conn.index()].version();
        let topic = self.listener(conn).unmounted(message.topic.as_str());
        let id = grant.id();
        let head = PublishHead {
            packet_id: PacketId::new(1).filter(|_| !grant.is_qos0()),
            ..message.head(version, topic, grant, &id)
        };
        head.packet_len() <= max as usize
    }

    /// Sends in an encoding of the connection's own.
    pub(crate) fn send_private(
        &mut self,
        conn: ConnId,
        grant: Grant,
        packet_id: Option<PacketId>,
        dup: bool,
        message: &mut Outgoing<'_>,
    ) {
        if !self.fits(conn, grant, message) {
            self.desk.counters.drop_large();
            return;
        }
        let topic = self.listener(conn).unmounted(message.topic.as_str());
        let (entry, lease) = (&mut self.peers.conns[conn.index()], &mut self.memory.lease);
        let (topic_alias, told, mut tells) = match entry.alias_of(topic, lease) {
            None => (None, topic, false),
            Some((alias, true)) => (Some(alias), "", false),
            Some((alias, false)) => (Some(alias), topic, true),
        };
        let id = grant.id();
        let mut head = PublishHead {
            dup,
            packet_id,
            topic_alias,
            ..message.head(entry.version(), told, grant, &id)
        };
        if tells && head.packet_len() > entry.packet_bytes_max() as usize {
            // The message is within the limit, but not with the alias beside the topic.
            entry.forget_alias(topic, lease);
            (head.topic_alias, tells) = (None, false);
        }
        let frame = message.write(&mut self.out, &head, 0);
        if packet_id.is_some() {
            return self.push_frame(conn, frame, grant, message.payload.len());
        }
        let is_sent = self.push_droppable(conn, frame, message.payload.len());
        if tells && !is_sent {
            let lease = &mut self.memory.lease;
            self.peers.conns[conn.index()].forget_alias(topic, lease);
        }
    }

    /// Queues a QoS 0 message; when the connection has too much to take already, the oldest ones go. False if it was
    /// this one that went.
    #[inline]
    fn push_droppable(&mut self, conn: ConnId, frame: Frame, payload_len: usize) -> bool {
        let is_far = self
            .out
            .push_below(conn, frame.head, frame.len(), self.memory.outbound_near);
        if !is_far {
            if !self.has_room_for(conn, frame.len()) {
                return false;
            }
            self.out.push(conn, frame.head);
        }
        self.note_pushed(conn, frame.payload, payload_len);
        true
    }

    #[inline]
    fn push_frame(&mut self, conn: ConnId, frame: Frame, grant: Grant, payload_len: usize) {
        self.desk.counters.publish_goes(grant.qos());
        self.out.push(conn, frame.head);
        self.note_pushed(conn, frame.payload, payload_len);
    }

    /// The head of a message, or all of it, has been queued: the rest follows.
    #[inline]
    fn note_pushed(&mut self, conn: ConnId, payload: Option<Range>, payload_len: usize) {
        self.desk.counters.packets_sent += 1;
        self.desk.counters.publish_sent += 1;
        self.desk.counters.publish_bytes_sent += payload_len as u64;
        if let Some(payload) = payload {
            self.out.push(conn, payload);
        }
    }

    /// Queues an answer. A client that asks and asks and takes nothing is to be closed.
    pub(crate) fn push_control(&mut self, conn: ConnId, range: Range) {
        let pending = self.out.push(conn, range);
        if pending > limits::CONTROL_BYTES_MAX && self.peers.is_established(conn) {
            let dropped = self.out.drop_oldest(conn, limits::OUTBOUND_BYTES_MAX / 2);
            self.desk.counters.publish_dropped += dropped.messages;
            if self.out.pending(conn) > limits::CONTROL_BYTES_MAX {
                self.peers.overflowing.push(conn);
            }
        }
    }

    /// Sends what waits, as far as the client's window and its socket allow.
    pub(crate) fn pump(&mut self, now_ms: u64, session: SessionId) {
        let Some(conn) = self.sessions.conn_of(session) else {
            return;
        };
        let bounds = self.bounds(Some(conn));
        let pending_max = self.pump_bytes_max(conn);
        loop {
            let Some(mut entry) = self.sessions.change(session) else {
                return;
            };
            let Some(queue) = entry.queue() else { break };
            let Some(front) = queue.front() else { break };
            let (is_qos0, is_doubted) = (front.grant.is_qos0(), queue.has_doubted());
            let has_window = is_qos0 || entry.has_room(&bounds);
            if !has_window || self.out.pending(conn) >= pending_max {
                return entry.charge(&mut self.memory.lease);
            }
            let Some(delivery) = entry.unqueue() else {
                return;
            };
            self.memory
                .note_waits_no_longer(self.sessions.backlog_mut(), &delivery.message);
            let message = &delivery.message;
            let (sessions, settings) = (&mut self.sessions, &self.desk.settings);
            if is_doubted
                && !sessions.may_still_be_sent(settings, session, delivery.origin, message)
            {
                self.pass_over(session, &delivery);
                continue;
            }
            if message.expires_at_ms <= now_ms {
                self.desk.counters.publish_dropped += 1;
                self.desk.counters.publish_dropped_expired += 1;
                continue;
            }
            let mut outgoing = Outgoing::shared(message, now_ms);
            outgoing.expiry_s = expiry_left(message.expires_at_ms, now_ms);
            if delivery.grant.is_qos0() {
                self.send_private(conn, delivery.grant, None, false, &mut outgoing);
            } else {
                self.send_numbered(
                    session,
                    conn,
                    delivery.grant,
                    delivery.origin,
                    &mut outgoing,
                );
            }
        }
        self.sessions.set_qos0_waits(session, false);
        self.sessions.charge(session, &mut self.memory.lease);
    }
}

impl Clients {
    /// A message that waited for a session is not for it: one of a shared subscription is for another member.
    #[cold]
    fn pass_over(&mut self, session: SessionId, delivery: &Delivery) {
        if delivery.origin.group().is_some() {
            let message = delivery.message.clone();
            self.passed_over.push((session, delivery.origin, message));
        }
    }
}
