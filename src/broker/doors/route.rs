//! A message is routed: to the subscribers of this shard, to other shards that want it, and into the store of retained ones.

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::delivery::overlap::Overlap;
use crate::broker::mesh_message::MeshMessage;
use crate::broker::retained::ordered::bit;
use crate::ids::{GroupId, ShardId};
use crate::journal::Errand;
use crate::routing::{Entry, Store, Target};

impl Broker {
    /// Delivers a message to all local subscribers, passes it to other shards that want it (unless it came from one) and
    /// stores it if it is to be retained. Returns whether anybody wanted it.
    #[inline]
    pub(in crate::broker) fn route(
        &mut self,
        now_ms: u64,
        message: &mut Outgoing<'_>,
        from: Option<ShardId>,
    ) -> bool {
        match self.clients.traces.has_topics() {
            true => self.route_shown(now_ms, message, from),
            false => self.route_on(now_ms, message, from),
        }
    }

    /// The same when all who look at its topic have been thought of.
    pub(in crate::broker) fn route_on(
        &mut self,
        now_ms: u64,
        message: &mut Outgoing<'_>,
        from: Option<ShardId>,
    ) -> bool {
        if from.is_none()
            && let Some(owner) = self.ordering.way_by(&self.clients.desk, message)
        {
            return self.route_by(message, owner);
        }
        let mut matched = std::mem::take(&mut self.routing.matched);
        matched.clear();
        let visited = self
            .routing
            .subscriptions
            .matching(message.topic.as_str(), &mut matched);
        let (mut others, mut groups) = (Others::default(), SmallVec::<[GroupId; 4]>::new());
        let subscriptions = &self.routing.subscriptions;
        let entries: usize = matched
            .iter()
            .map(|&filter| subscriptions.entries(filter).len())
            .sum();
        message.shares_ids = entries >= self.clients.shared_ids_min;
        self.clients.memory.turn.count_match(visited);
        if matched.len() > 1 && !self.clients.desk.settings.allow_duplicate_messages {
            self.clients.memory.turn.count_overlap(entries);
            let mut overlap = Overlap::default();
            for entry in matched
                .iter()
                .flat_map(|&filter| subscriptions.entries(filter))
            {
                match entry.as_session() {
                    Some(session) => overlap.add(session, entry.options()),
                    None => note_target(entry, &mut others, &mut groups),
                }
            }
            self.clients.deliver_once(overlap, message);
        } else {
            for &filter in &matched {
                for entry in subscriptions.entries(filter) {
                    match entry.as_session() {
                        Some(session) => self.clients.deliver(session, entry.options(), message),
                        None => note_target(entry, &mut others, &mut groups),
                    }
                }
            }
        }
        self.routing.matched = matched;
        for group in groups {
            self.deliver_shared(now_ms, group, &message.owned());
        }
        if from.is_none() {
            self.route_onwards(now_ms, message, others);
        }
        entries > 0
    }

    /// To other shards, and into the store if the message is to be retained: this shard owns its topic.
    fn route_onwards(&mut self, now_ms: u64, message: &mut Outgoing<'_>, others: Others) {
        let mut retain_seq = 0;
        if message.retain && self.clients.desk.settings.retain_available {
            retain_seq = self.retain(now_ms, message);
        }
        let mut shards = others.all;
        while shards != 0 {
            let to = ShardId(shards.trailing_zeros() as u8);
            shards &= shards - 1;
            let publish = MeshMessage::Publish {
                message: message.owned(),
                retain_seq,
            };
            self.clients.desk.mesh(to, publish);
            if others.durable & bit(to) != 0 {
                let errand = Errand::Deliver;
                self.clients.note_handed(to, errand, message.kept());
            }
        }
    }

    /// Stores a retained message that this shard owns. Returns the number of the store.
    fn retain(&mut self, now_ms: u64, message: &mut Outgoing<'_>) -> u64 {
        let own = self.clients.desk.shard;
        let waits = &self.waits;
        self.live
            .note(message.topic.as_str(), || waits.oldest_question());
        let seq = self.stores.next(own);
        self.store_retained(now_ms, message.owned(), Store::new(own, seq), false);
        seq
    }
}

/// Other shards that want a message, as bits.
#[derive(Clone, Copy, Default)]
pub(in crate::broker) struct Others {
    pub all: u64,
    /// Those that may have something durable for it.
    pub durable: u64,
}

impl Others {
    /// One more.
    pub(in crate::broker) fn add(&mut self, shard: ShardId, entry: &Entry) {
        self.all |= bit(shard);
        if entry.is_durable_elsewhere() {
            self.durable |= bit(shard);
        }
    }
}

/// Notes a match that is not a session.
fn note_target(entry: &Entry, others: &mut Others, groups: &mut SmallVec<[GroupId; 4]>) {
    match entry.target() {
        Target::Shard(shard) => others.add(shard, entry),
        Target::Group(group) => groups.push(group),
        Target::Session(_) => {}
    }
}
