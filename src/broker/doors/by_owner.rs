//! A message goes by the owner of its topic: given there, passed on there, and come from there (`retained::ordered`).

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::doors::route::Others;
use crate::broker::mesh_message::{MeshMessage, Ordered};
use crate::broker::retained::ordered::bit;
use crate::ids::ShardId;
use crate::journal::Errand;
use crate::mqtt::topic;
use crate::routing::{Store, Target};

impl Broker {
    /// Gives a message to the owner of its topic. Returns whether anybody wants it.
    pub(in crate::broker) fn route_by(
        &mut self,
        message: &mut Outgoing<'_>,
        owner: ShardId,
    ) -> bool {
        let Others { all, durable } = self.targets(message.topic.as_str());
        let (targets, is_wanted) = (all, all != 0);
        let (mut seq, mut promised) = (0, 0);
        if message.retain {
            (seq, promised) = (self.stores.next(owner), self.promises.take_granted());
        }
        // What a broker says of itself is not retained for the next run.
        let is_sys = topic::is_sys(message.topic.as_str());
        let desk = &mut self.clients.desk;
        if is_wanted {
            let has_third = targets & !(bit(owner) | bit(desk.shard)) != 0;
            let ordered = Ordered {
                message: message.owned(),
                from: desk.shard,
                targets,
                durable,
                seq,
                promised,
                after: match has_third {
                    true => desk.mesh_sent.clone(),
                    false => Box::default(),
                },
            };
            self.ordering.give(desk, owner, ordered);
            let retains = seq > 0 && !is_sys;
            if retains || durable != 0 {
                let errand = Errand::PassOn { targets, retains };
                self.clients.note_handed(owner, errand, message.kept());
            }
        } else if message.retain {
            let store = MeshMessage::RetainStore {
                message: message.owned(),
                seq,
                promised,
            };
            desk.mesh(owner, store);
            if !is_sys {
                self.clients
                    .note_handed(owner, Errand::Retain, message.kept());
            }
        }
        is_wanted
    }

    /// The shards that have subscribers for a topic, this one among them, as bits.
    fn targets(&mut self, topic: &str) -> Others {
        let mut matched = std::mem::take(&mut self.routing.matched);
        matched.clear();
        let subscriptions = &mut self.routing.subscriptions;
        let visited = subscriptions.matching(topic, &mut matched);
        self.clients.memory.turn.count_match(visited);
        let own = bit(self.clients.desk.shard);
        let is_written = self.clients.sessions.facts().are_written();
        let entries = matched
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter));
        let mut targets = Others::default();
        for entry in entries {
            match entry.target() {
                Target::Shard(shard) => targets.add(shard, entry),
                Target::Session(_) | Target::Group(_) => targets.all |= own,
            }
        }
        if is_written {
            // It is not looked who of them is durable: such messages are few.
            targets.durable |= targets.all & own;
        }
        self.routing.matched = matched;
        targets
    }

    /// A message has come that this shard, as the owner of its topic, passes on.
    pub(in crate::broker) fn on_ordered(
        &mut self,
        now_ms: u64,
        from: ShardId,
        ordered: Arc<Ordered>,
    ) {
        if ordered.seq > 0 {
            let message = ordered.message.clone();
            self.promises.settle(ordered.promised);
            let is_promised = ordered.promised > 0;
            self.store_retained(now_ms, message, Store::new(from, ordered.seq), is_promised);
            self.stores.note_applied(from, ordered.seq);
        }
        let own = self.clients.desk.shard;
        self.pass_on(from, &ordered);
        if ordered.targets & bit(own) != 0 {
            self.on_relayed(now_ms, own, &ordered);
        }
        if ordered.seq > 0 {
            self.look_up_held(now_ms);
        }
    }

    /// Passes a message of another shard on, as the owner of its topic.
    fn pass_on(&mut self, from: ShardId, ordered: &Arc<Ordered>) {
        let mut others = ordered.targets & !bit(self.clients.desk.shard);
        self.ordering.note_passed_on(from, others != 0);
        while others != 0 {
            let to = ShardId(others.trailing_zeros() as u8);
            others &= others - 1;
            let relayed = MeshMessage::Relayed(ordered.clone());
            self.clients.desk.mesh(to, relayed);
            if ordered.durable & bit(to) != 0 {
                let (errand, message) = (Errand::Deliver, &ordered.message);
                self.clients.note_handed(to, errand, message);
            }
        }
    }

    /// A message has come by the owner of its topic.
    pub(in crate::broker) fn on_relayed(&mut self, now_ms: u64, owner: ShardId, ordered: &Ordered) {
        let message = &ordered.message;
        if ordered.seq > 0 {
            self.note_remote_retained(ordered.from, &message.topic, ordered.seq);
        }
        self.route(now_ms, &mut Outgoing::shared(message, now_ms), Some(owner));
    }
}
