//! `allow_duplicate_messages false`: a client with overlapping subscriptions gets a message once, with the greatest QoS
//! of those that match and with all their subscription identifiers (MQTT-3.3.4-2, MQTT-3.3.4-4).

use smallvec::SmallVec;

use crate::broker::clients::Clients;
use crate::broker::delivery::deliver::note_target;
use crate::broker::delivery::outgoing::Outgoing;
use crate::ids::{GroupId, SessionId};
use crate::mqtt::Property;
use crate::routing::{EntryOptions, FilterId, Subscriptions};

impl Clients {
    /// Delivers to every session that one of these filters stands for, once.
    pub(in crate::broker) fn deliver_once(
        &mut self,
        subscriptions: &Subscriptions,
        matched: &[FilterId],
        message: &mut Outgoing<'_>,
        shards: &mut u64,
        groups: &mut SmallVec<[GroupId; 4]>,
    ) {
        let mut sessions: Vec<(SessionId, EntryOptions)> = Vec::new();
        for entry in matched
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter))
        {
            match entry.as_session() {
                Some(session)
                    if !(entry.options().no_local() && self.is_origin(session, message.origin)) =>
                {
                    sessions.push((session, entry.options()));
                }
                Some(_) => {}
                None => note_target(entry, shards, groups),
            }
        }
        sessions.sort_by_key(|(session, options)| (session.0, options.id()));
        for group in sessions.chunk_by(|(one, _), (other, _)| one == other) {
            self.deliver_merged(group, message);
        }
    }

    fn deliver_merged(
        &mut self,
        subscriptions: &[(SessionId, EntryOptions)],
        message: &mut Outgoing<'_>,
    ) {
        let Some(&(session, _)) = subscriptions.first() else {
            return;
        };
        let all = || subscriptions.iter().map(|&(_, options)| options);
        let mut ids: SmallVec<[u32; 8]> =
            all().map(EntryOptions::id).filter(|&id| id > 0).collect();
        ids.dedup();
        let options = all().fold(EntryOptions::default(), EntryOptions::merged);
        if ids.len() < 2 {
            let id = ids.first().copied().unwrap_or(0);
            return self.deliver(session, options.with_id(id), message);
        }
        // Several identifiers make a message of its own, with them among its properties.
        let mut properties = Vec::new();
        for id in ids {
            Property::SubscriptionIdentifier(id).encode(&mut properties);
        }
        properties.extend_from_slice(message.properties);
        let mut own = Outgoing::borrowed(
            message.topic,
            message.payload,
            &properties,
            message.qos,
            message.retain,
        );
        own.expires_at_ms = message.expires_at_ms;
        own.expiry_s = message.expiry_s;
        own.origin = message.origin;
        own.sent = message.sent;
        own.stamp = message.stamp;
        self.deliver(session, options, &mut own);
    }
}
