//! What would have to be written down while the disk takes nothing more: refused, so that nobody is told that it is kept. All else goes on.

use crate::broker::Broker;
use crate::ids::ConnId;
use crate::mqtt::{AckKind, Connect, PacketId, Publish, QoS, ReasonCode, Version, topic};
use crate::routing::Target;

impl Broker {
    /// Refuses a PUBLISH with QoS 1 or 2 that would have to be kept and cannot be. Who speaks MQTT 5 is told by the acknowledgement;
    /// before, that can only say that all is well: the connection is closed without it, and the client sends the message again later.
    pub(in crate::broker) fn refuses_unkept(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        (topic, id): (&str, PacketId),
    ) -> bool {
        if !self.clients.sessions.facts().is_shut() || !self.has_to_be_kept(publish, topic) {
            return false;
        }
        self.clients.desk.counters.unkept_refused += 1;
        let reason = ReasonCode::QUOTA_EXCEEDED;
        self.clients
            .show_refused_publish(now_ms, conn, (publish, topic), reason);
        if self.clients.peers.conns[conn.index()].version() != Version::V5 {
            self.disconnect(now_ms, conn, reason);
            return true;
        }
        let kind = match publish.qos {
            QoS::ExactlyOnce => AckKind::Pubrec,
            _ => AckKind::Puback,
        };
        self.acknowledge(conn, kind, id, reason);
        true
    }

    /// Whether a message is retained and would be written down, or for something that outlives the process.
    #[cold]
    fn has_to_be_kept(&mut self, publish: &Publish<'_>, topic: &str) -> bool {
        let is_retained = publish.retain && self.clients.desk.settings.retain_available;
        if is_retained && !topic::is_sys(topic) {
            return true;
        }
        let mut matched = std::mem::take(&mut self.routing.matched);
        matched.clear();
        let subscriptions = &mut self.routing.subscriptions;
        subscriptions.matching(topic, &mut matched);
        let mut entries = matched
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter));
        let is_durable = entries.any(|entry| match entry.target() {
            Target::Shard(_) => entry.is_durable_elsewhere(),
            Target::Group(group) => self.routing.groups.get(group).is_durable(),
            Target::Session(session) => {
                let session = self.clients.sessions.get(session);
                entry.options().qos() != QoS::AtMostOnce
                    && session.is_some_and(|session| session.is_durable())
            }
        });
        self.routing.matched = matched;
        is_durable
    }

    /// Whether a CONNECT asks for a session that would have to be kept, is not there yet, and cannot be kept.
    pub(in crate::broker) fn is_unkept_session(
        &mut self,
        connect: &Connect<'_>,
        client_id: &str,
    ) -> bool {
        if !self.clients.sessions.facts().is_shut() {
            return false;
        }
        let outlives = connect.session_expiry_s() > 0;
        let is_unkept = outlives && self.clients.sessions.find(client_id).is_none();
        self.clients.desk.counters.unkept_refused += u64::from(is_unkept);
        is_unkept
    }

    /// Whether a subscription would have to be kept, and cannot be.
    pub(in crate::broker) fn is_unkept_subscription(&mut self, conn: ConnId) -> bool {
        if !self.clients.sessions.facts().is_shut() {
            return false;
        }
        let session = self.clients.peers.session_of(conn);
        let session = session.and_then(|session| self.clients.sessions.get(session));
        let is_unkept = session.is_some_and(|session| session.is_durable());
        self.clients.desk.counters.unkept_refused += u64::from(is_unkept);
        is_unkept
    }
}
