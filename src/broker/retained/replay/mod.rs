//! Retained messages: stored by the shard that owns the topic (docs/decisions/0501), replayed to new subscriptions a
//! page at a time: `ask.rs` has the side of the subscriber, `lookup.rs` that of the owner.
//!
//! Three races are closed here. A store may still be on its way to the owner when a question about it arrives by
//! another way: stores are numbered per sender and owner, the asker says which numbers it knows of, and the owner
//! answers when it has them. A message may overtake the answer: topics of retained messages that pass this shard while
//! a question is open are noted, and the older copy in the answer is left out. And messages go on being stored while a
//! slow client takes page after page: each page is a question of its own, so that what has passed the asker by then has
//! reached the owner; and all leave out the stores after the first question, because those were delivered live.

mod ask;
mod lookup;
pub(in crate::broker) mod question;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::doors::on_publish::is_broker_topic;
use crate::broker::facts::Fact;
use crate::broker::mesh_message::RetainQuery;
use crate::broker::{Broker, owner_of_topic};
use crate::budget::{Account, Rung};
use crate::ids::ShardId;
use crate::limits;
use crate::mqtt::message::Message;
use crate::routing::{PageBounds, Store};

/// See the module.
pub struct Replays {
    shards: u8,
    /// By owner: the number of this shard's last store there.
    stores: Vec<u64>,
    /// By shard and owner: the greatest number of a store that this shard knows of.
    seen: Vec<Vec<u64>>,
    /// By shard: the number of its last store that has arrived here.
    applied: Vec<u64>,
    /// How large a page is at this shard.
    page: PageBounds,
    /// Questions that wait for stores to arrive here.
    held: Vec<(ShardId, RetainQuery)>,
    /// Questions of this shard's sessions that have not been answered by all owners (`waits`).
    open: u32,
    /// Questions to this shard that wait their turn, at most `REPLAY_QUESTIONS_MAX` for a session, and who asks.
    lookups: VecDeque<(ShardId, RetainQuery)>,
    /// Nodes visited above what the time until `spent_at_ms` allowed.
    spent: usize,
    spent_at_ms: u64,
    /// Whether look-ups are being made.
    looking: bool,
    /// Retained messages that have passed this shard, and by topic the count at the last one, while questions are open.
    live_count: u64,
    live: HashMap<u64, u64, FixedState>,
    /// How many of these topics there are when those that matter to no question any more are looked for.
    live_prune_at: usize,
    /// When expired messages are looked for next.
    pub next_sweep_ms: u64,
}

fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

pub(in crate::broker) fn topic_hash(topic: &str) -> u64 {
    FixedState::with_seed(1).hash_one(topic)
}

impl Replays {
    pub fn new(shards: u8) -> Self {
        let count = usize::from(shards);
        let state = || FixedState::with_seed(0);
        Replays {
            shards,
            stores: vec![0; count],
            seen: vec![vec![0; count]; count],
            applied: vec![0; count],
            page: PageBounds {
                messages: (limits::REPLAY_PAGE_MESSAGES / count.max(1)).max(1),
                nodes: limits::REPLAY_PAGE_NODES,
                slots: limits::REPLAY_PAGE_SLOTS,
            },
            held: Vec::new(),
            open: 0,
            lookups: VecDeque::new(),
            spent: 0,
            spent_at_ms: 0,
            looking: false,
            live_count: 0,
            live: HashMap::with_hasher(state()),
            live_prune_at: 2 * limits::LIVE_TOPICS_KEPT,
            next_sweep_ms: 0,
        }
    }

    /// Other bounds for a page, all over.
    #[cfg(test)]
    pub fn set_page(&mut self, page: PageBounds) {
        self.page = page;
    }

    /// The number of the next store of this shard at an owner.
    pub fn next_store(&mut self, owner: ShardId) -> u64 {
        self.stores[owner.index()] += 1;
        self.stores[owner.index()]
    }

    /// This shard's last stores, by owner.
    pub fn stored(&self) -> Box<[u64]> {
        self.stores.as_slice().into()
    }

    /// Another shard's last stores, by owner.
    pub fn note_stored(&mut self, from: ShardId, stored: &[u64]) {
        for (seen, &stored) in self.seen[from.index()].iter_mut().zip(stored) {
            *seen = (*seen).max(stored);
        }
    }

    /// By shard: its last store at an owner that `own` knows of.
    fn known_at(&self, owner: ShardId, own: ShardId) -> Box<[u64]> {
        let by_shard = self.seen.iter().map(|by_owner| by_owner[owner.index()]);
        let mut known: Box<[u64]> = by_shard.collect();
        known[own.index()] = self.stores[owner.index()];
        known
    }

    /// A retained message has passed this shard. True if there are many topics: then those that matter to no question are to be
    /// forgotten (`prune_live`).
    pub fn note_live(&mut self, topic: &str) -> bool {
        if self.open == 0 {
            return false;
        }
        self.live_count += 1;
        self.live.insert(topic_hash(topic), self.live_count);
        self.live.len() >= self.live_prune_at
    }

    /// Topics that are noted.
    #[cfg(test)]
    pub fn live_topics(&self) -> usize {
        self.live.len()
    }

    /// Leaves out of an answer what is older than a live message with the same topic that came after the question.
    fn leave_out_older(&self, messages: &mut Vec<Arc<Message>>, asked_at: u64) {
        if self.live.is_empty() {
            return;
        }
        messages.retain(|message| {
            let last = self.live.get(&topic_hash(&message.topic));
            last.is_none_or(|&count| count <= asked_at)
        });
    }

    /// So many questions are answered. Without one the topics are forgotten.
    fn note_answered(&mut self, questions: u32) {
        self.open -= questions;
        if self.open == 0 {
            self.live.clear();
        }
    }

    /// Forgets the topics that no open question is about: these were asked when so many had passed. There may always be one
    /// that is open.
    fn prune_live(&mut self, open: impl Iterator<Item = u64>) {
        let asked_at = open.min().unwrap_or(self.live_count);
        self.live.retain(|_, &mut count| count > asked_at);
        self.live_prune_at = 2 * self.live.len().max(limits::LIVE_TOPICS_KEPT);
    }
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
        let facts = self.clients.sessions.facts();
        if message.payload.is_empty() || message.expires_at_ms <= now_ms {
            facts.tell(|_| Fact::RetainedRemoved { topic });
            self.routing.retained.remove(topic);
        } else if is_promised || self.retained_room(topic, message.cost()).is_some() {
            let facts = self.clients.sessions.facts();
            facts.tell(|clock| Fact::RetainedStored {
                message: &message,
                expires_at: clock.unix(message.expires_at_ms),
            });
            self.routing.retained.set(message, store);
        } else {
            // What was known of the topic is no longer true.
            let facts = self.clients.sessions.facts();
            facts.tell(|_| Fact::RetainedRemoved { topic });
            self.routing.retained.remove(topic);
            self.clients.desk.counters.retained_refused += 1;
        }
        self.charge_retained();
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
        self.note_applied(from, seq);
        self.look_up_held(now_ms);
    }

    /// A store of another shard has been made.
    pub(in crate::broker) fn note_applied(&mut self, from: ShardId, seq: u64) {
        self.replays.applied[from.index()] = seq;
    }

    /// A message with a number of a retained store has come from another shard.
    pub(in crate::broker) fn note_remote_retained(
        &mut self,
        from: ShardId,
        topic: &str,
        retain_seq: u64,
    ) {
        let owner = owner_of_topic(topic, self.clients.desk.shards);
        let seen = &mut self.replays.seen[from.index()][owner.index()];
        *seen = (*seen).max(retain_seq);
        self.note_live(topic);
    }

    /// A retained message has passed this shard.
    pub(in crate::broker) fn note_live(&mut self, topic: &str) {
        if self.replays.note_live(topic) {
            let open = self.waits.questions();
            self.replays
                .prune_live(open.map(|question| question.asked_at));
        }
    }
}
