//! A retained message is stored, or removed, by the shard that owns its topic (docs/decisions/0501); and looked through for those
//! that have expired.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::facts::Fact;
use crate::broker::placement::{is_broker_topic, owner_of_topic};
use crate::budget::{Account, Rung};
use crate::ids::ShardId;
use crate::limits;
use crate::mqtt::message::Message;
use crate::routing::Store;

/// Places that are looked through at a time, so that one comes round within the minutes of `retain_expiry_interval`.
fn swept_places(all: usize, minutes: u32) -> usize {
    let times = u64::from(minutes) * 60_000 / limits::RETAINED_SWEEP_MS;
    let asked = match usize::try_from(times) {
        Ok(times) if times > 0 => all.div_ceil(times),
        _ => 0,
    };
    asked.max(limits::RETAINED_SWEEP_COUNT)
}

impl Broker {
    /// Stores or, with an empty payload, removes a retained message of a topic that this shard owns (MQTT-3.3.1-5, -6).
    /// With a promise there is room for it.
    pub(in crate::broker) fn store_retained(
        &mut self,
        now_ms: u64,
        message: Arc<Message>,
        store: Store,
        is_promised: bool,
    ) {
        let topic = message.topic.as_str();
        if message.payload.is_empty() || message.expires_at_ms <= now_ms {
            self.forget_retained(topic);
        } else if is_promised || self.retained_room(topic, message.cost()).is_some() {
            self.clients.sessions.tell_retained(&message);
            self.routing.retained.set(message, store);
        } else {
            // What was known of the topic is no longer true.
            self.forget_retained(topic);
            self.clients.desk.counters.retained_refused += 1;
        }
        self.charge_retained();
    }

    /// A topic has no retained message any more. Returns whether it had one.
    pub(in crate::broker) fn forget_retained(&mut self, topic: &str) -> bool {
        let had = self.routing.retained.remove(topic).is_some();
        if had {
            let facts = self.clients.sessions.facts();
            facts.tell(|_| Fact::RetainedRemoved { topic });
        }
        had
    }

    /// Bytes more that a retained message takes, if there is room for it beside what was promised: in the place of one that is
    /// no smaller there always is.
    pub(in crate::broker) fn retained_room(&self, topic: &str, cost: usize) -> Option<u64> {
        let before = self
            .routing
            .retained
            .get(topic)
            .map(|message| message.cost());
        let lease = &self.clients.memory.lease;
        let more = match before {
            Some(before) if before >= cost => return Some(0),
            Some(before) => (cost - before) as u64,
            // What the broker says of itself is little, and looked at when memory is short.
            None if is_broker_topic(topic) => return Some(0),
            None if lease.rung() >= Rung::Refuse => return None,
            None => (cost + topic.len()) as u64 + limits::RETAINED_BYTES,
        };
        lease
            .has_room(Account::Retained, more + self.promises.promised())
            .then_some(more)
    }

    /// A store has come from another shard.
    pub(in crate::broker) fn on_retain_store(
        &mut self,
        now_ms: u64,
        from: ShardId,
        message: Arc<Message>,
        seq: u64,
        promised: u32,
    ) {
        self.promises.settle(promised);
        self.store_retained(now_ms, message, Store::new(from, seq), promised > 0);
        self.stores.note_applied(from, seq);
        self.look_up_held(now_ms);
    }

    /// A message with a number of a retained store has come from another shard.
    pub(in crate::broker) fn note_remote_retained(
        &mut self,
        from: ShardId,
        topic: &str,
        retain_seq: u64,
    ) {
        let owner = owner_of_topic(topic, self.clients.desk.shards);
        self.stores.note_seen(from, owner, retain_seq);
        let waits = &self.waits;
        self.live.note(topic, || waits.oldest_question());
    }

    /// Looks through some of the places, so that one comes round within `retain_expiry_interval`.
    pub(in crate::broker) fn sweep_retained(&mut self, now_ms: u64) {
        let retained = &mut self.routing.retained;
        let minutes = self.clients.desk.settings.retain_expiry_min;
        let places = swept_places(retained.places(), minutes);
        for message in retained.sweep(now_ms, places) {
            let topic = &message.topic;
            let facts = self.clients.sessions.facts();
            facts.tell(|_| Fact::RetainedRemoved { topic });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_places_are_looked_through_within_the_interval() {
        let usual = limits::RETAINED_SWEEP_COUNT;
        let each_second = 60_000 / limits::RETAINED_SWEEP_MS as usize;
        for (all, minutes, places) in [
            (0, 0, usual),
            (5_000_000, 0, usual),
            (600, 1, usual),
            (5_000_000, 1, 5_000_000usize.div_ceil(each_second)),
            (5_000_000, u32::MAX, usual),
        ] {
            assert_eq!(swept_places(all, minutes), places, "{all} {minutes}");
        }
    }
}
