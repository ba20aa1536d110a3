//! What is published to topics that somebody looks at (`trace`).

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::retained::ordered::bit;
use crate::broker::trace::{
    TraceWhat, TracedMessage, TracedOutcome, TracedPublish, payload_start, properties_start,
};
use crate::ids::{ConnId, SessionId, ShardId};
use crate::mqtt::{Publish, ReasonCode};
use crate::routing::Target;

impl Broker {
    /// Routes a message while somebody looks at topics.
    #[cold]
    pub(in crate::broker) fn route_shown(
        &mut self,
        now_ms: u64,
        message: &mut Outgoing<'_>,
        from: Option<ShardId>,
    ) -> bool {
        if !self.clients.traces.wants_topic(message.topic.as_str()) {
            return self.route_on(now_ms, message, from);
        }
        let (matched, shards) = self.wanted_by(message.topic.as_str());
        let counters = &self.clients.desk.counters;
        let before = (counters.publish_sent, counters.publish_dropped);
        let is_wanted = self.route_on(now_ms, message, from);
        let counters = &self.clients.desk.counters;
        let outcome = TracedOutcome::Routed {
            matched,
            sent: counters.publish_sent - before.0,
            dropped: counters.publish_dropped - before.1,
            shards: if from.is_none() { shards } else { 0 },
        };
        self.clients.show_routed(now_ms, message, from, outcome);
        is_wanted
    }

    /// Subscriptions of this shard that match a topic, and other shards that want it, as bits.
    fn wanted_by(&mut self, topic: &str) -> (usize, u64) {
        let mut found = std::mem::take(&mut self.routing.matched);
        found.clear();
        self.routing.subscriptions.matching(topic, &mut found);
        let subscriptions = &self.routing.subscriptions;
        let entries = found
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter));
        let (mut here, mut shards) = (0, 0u64);
        for entry in entries {
            match entry.target() {
                Target::Shard(shard) => shards |= bit(shard),
                Target::Session(_) | Target::Group(_) => here += 1,
            }
        }
        self.routing.matched = found;
        (here, shards)
    }
}

impl Clients {
    fn show_routed(
        &mut self,
        now_ms: u64,
        message: &Outgoing<'_>,
        from: Option<ShardId>,
        outcome: TracedOutcome,
    ) {
        let publisher = self.sessions.get(SessionId(message.publisher));
        let client = publisher.map(|session| Box::from(session.client_id()));
        let topic = message.topic.as_str();
        self.traces.show_topic(now_ms, topic, |payload_bytes| {
            let (properties, has_more_properties) = properties_start(message.properties);
            TraceWhat::Published(Box::new(TracedPublish {
                message: TracedMessage {
                    topic: Some(topic.into()),
                    qos: message.qos,
                    retain: message.retain,
                    dup: message.sent.again,
                    payload_bytes: message.payload.len(),
                    payload: payload_start(message.payload, payload_bytes),
                },
                client: client.clone(),
                from_shard: from.map(|shard| shard.0),
                outcome: outcome.clone(),
                properties,
                has_more_properties,
            }))
        });
    }

    /// A message is not taken, for this reason, while somebody may look at its topic.
    #[cold]
    pub(in crate::broker) fn show_refused_publish(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        (publish, topic): (&Publish<'_>, &str),
        reason: ReasonCode,
    ) {
        if !self.traces.has_topics() {
            return;
        }
        let session = self.peers.session_of(conn);
        let session = session.and_then(|session| self.sessions.get(session));
        let client = session.map(|session| Box::from(session.client_id()));
        self.traces.show_topic(now_ms, topic, |payload_bytes| {
            let (properties, has_more_properties) = properties_start(publish.properties.raw);
            TraceWhat::Published(Box::new(TracedPublish {
                message: TracedMessage {
                    topic: Some(topic.into()),
                    qos: publish.qos,
                    retain: publish.retain,
                    dup: publish.dup,
                    payload_bytes: publish.payload.len(),
                    payload: payload_start(publish.payload, payload_bytes),
                },
                client: client.clone(),
                from_shard: None,
                outcome: TracedOutcome::Refused(reason.0),
                properties,
                has_more_properties,
            }))
        });
    }
}
