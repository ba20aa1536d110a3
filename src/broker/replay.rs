//! Retained messages: stored by the shard that owns the topic (design decision D4), replayed to new subscriptions.
//!
//! Two races are closed here. A store may still be on its way to the owner when a question about it arrives by another
//! way: stores are numbered per sender and owner, the asker says which numbers it knows of, and the owner answers when
//! it has them. And a message may overtake the answer: topics of retained messages that pass this shard while a
//! question is open are noted, and the older copy in the answer is left out.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::BuildHasher;

use super::clients::NONE;
use super::effect::{MeshMessage, RetainQuery};
use super::{Broker, owner_of_topic};
use crate::ids::{SessionId, ShardId};
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::mqtt::message::Message;
use crate::routing::EntryOptions;
use crate::session::{Delivery, Origin};

/// A question to the owners that has not been answered by all of them.
struct Question {
    session: SessionId,
    serial: u64,
    options: EntryOptions,
    missing: u8,
    /// The count of live retained messages when it was asked.
    asked_at: u64,
}

/// A filter with wildcards whose retained messages are to be found on this shard.
enum Lookup {
    /// For a client of this shard.
    Own {
        session: SessionId,
        serial: u64,
        filter: Box<str>,
        options: EntryOptions,
        /// As in a question.
        asked_at: u64,
    },
    /// For another shard.
    Other { asker: ShardId, query: RetainQuery },
}

impl Lookup {
    /// The count of live retained messages when it was asked, if it is for this shard.
    fn asked_at(&self) -> Option<u64> {
        match self {
            Lookup::Own { asked_at, .. } => Some(*asked_at),
            Lookup::Other { .. } => None,
        }
    }

    /// The session of this shard that it is for.
    fn session(&self) -> Option<SessionId> {
        match self {
            Lookup::Own { session, .. } => Some(*session),
            Lookup::Other { .. } => None,
        }
    }
}

/// See the module.
pub struct Replays {
    shards: u8,
    /// By owner: the number of this shard's last store there.
    stores: Vec<u64>,
    /// By shard and owner: the greatest number of a store that this shard knows of.
    seen: Vec<Vec<u64>>,
    /// By shard: the number of its last store that has arrived here.
    applied: Vec<u64>,
    /// Questions that wait for stores to arrive here.
    held: Vec<(ShardId, RetainQuery)>,
    open: HashMap<u32, Question, FixedState>,
    /// Look-ups that wait their turn, at most `REPLAY_QUESTIONS_MAX` for a session.
    lookups: VecDeque<Lookup>,
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

fn topic_hash(topic: &str) -> u64 {
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
            held: Vec::new(),
            open: HashMap::with_hasher(state()),
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

    /// When the next look-up may be made, if one waits.
    pub fn next_lookup_ms(&self) -> Option<u64> {
        let too_much = (self.spent + 1).saturating_sub(limits::LOOKUP_NODES_BURST);
        let wait_ms = too_much.div_ceil(limits::LOOKUP_NODES_PER_MS) as u64;
        (!self.lookups.is_empty()).then_some(self.spent_at_ms + wait_ms)
    }

    /// A retained message has passed this shard.
    pub fn note_live(&mut self, topic: &str) {
        if !self.open.is_empty() || !self.lookups.is_empty() {
            self.live_count += 1;
            self.live.insert(topic_hash(topic), self.live_count);
            if self.live.len() >= self.live_prune_at {
                self.prune_live();
            }
        }
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
            let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
            let last = self.live.get(&topic_hash(topic));
            last.is_none_or(|&count| count <= asked_at)
        });
    }

    /// Forgets the topics if there is no question.
    fn clear_live(&mut self) {
        if self.open.is_empty() && self.lookups.is_empty() {
            self.live.clear();
        }
    }

    /// Forgets the topics that no open question is about. There may always be one that is open.
    fn prune_live(&mut self) {
        let open = self.open.values().map(|question| question.asked_at);
        let waiting = self.lookups.iter().filter_map(Lookup::asked_at);
        let asked_at = open.chain(waiting).min().unwrap_or(self.live_count);
        self.live.retain(|_, &mut count| count > asked_at);
        self.live_prune_at = 2 * self.live.len().max(limits::LIVE_TOPICS_KEPT);
    }
}

impl Broker {
    /// Stores or, with an empty payload, removes a retained message of a topic that this shard owns (MQTT-3.3.1-5, -6).
    pub(super) fn store_retained(&mut self, now_ms: u64, message: Arc<Message>) {
        let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
        if message.payload.is_empty() || message.expires_at_ms <= now_ms {
            self.routing.retained.remove(topic);
        } else {
            self.routing.retained.set(message);
        }
    }

    /// A store has come from another shard.
    pub(super) fn on_retain_store(
        &mut self,
        now_ms: u64,
        from: ShardId,
        message: Arc<Message>,
        seq: u64,
    ) {
        self.store_retained(now_ms, message);
        self.replays.applied[from.index()] = seq;
        let mut index = 0;
        while index < self.replays.held.len() {
            if self.has_applied(&self.replays.held[index].1) {
                let (asker, query) = self.replays.held.remove(index);
                self.look_up(now_ms, Lookup::Other { asker, query });
            } else {
                index += 1;
            }
        }
    }

    fn has_applied(&self, query: &RetainQuery) -> bool {
        let own = self.clients.shard.index();
        let pairs = self
            .replays
            .applied
            .iter()
            .zip(query.seen.iter())
            .enumerate();
        pairs
            .filter(|(shard, _)| *shard != own)
            .all(|(_, (applied, seen))| applied >= seen)
    }

    /// Another shard asks for retained messages.
    pub(super) fn on_retain_query(&mut self, now_ms: u64, from: ShardId, query: RetainQuery) {
        if self.has_applied(&query) {
            self.look_up(now_ms, Lookup::Other { asker: from, query });
        } else {
            self.replays.held.push((from, query));
        }
    }

    /// Looks up at once what is found at once; what has wildcards in its turn.
    fn look_up(&mut self, now_ms: u64, lookup: Lookup) {
        let filter = match &lookup {
            Lookup::Own { filter, .. } => filter,
            Lookup::Other { query, .. } => &query.filter,
        };
        if !has_wildcard(filter) {
            return self.find_retained(now_ms, lookup);
        }
        self.replays.lookups.push_back(lookup);
        self.run_lookups(now_ms);
    }

    /// Looks up what waits, as far as this shard's time for it goes.
    pub(super) fn run_lookups(&mut self, now_ms: u64) {
        let replays = &mut self.replays;
        let passed_ms = now_ms.saturating_sub(replays.spent_at_ms) as usize;
        let earned = passed_ms.saturating_mul(limits::LOOKUP_NODES_PER_MS);
        replays.spent = replays.spent.saturating_sub(earned);
        replays.spent_at_ms = now_ms;
        // What is found may make room for the next look-up of its client, which joins the others here.
        if std::mem::replace(&mut replays.looking, true) {
            return;
        }
        while self.replays.spent < limits::LOOKUP_NODES_BURST
            && let Some(lookup) = self.replays.lookups.pop_front()
        {
            let session = lookup.session();
            self.find_retained(now_ms, lookup);
            if let Some(session) = session {
                self.next_replays(now_ms, session);
            }
        }
        self.replays.looking = false;
        self.replays.clear_live();
    }

    fn find_retained(&mut self, now_ms: u64, lookup: Lookup) {
        match lookup {
            Lookup::Own {
                session,
                serial,
                filter,
                options,
                asked_at,
            } => {
                let entry = self.clients.session(session);
                if entry.is_none_or(|entry| entry.serial != serial) {
                    return;
                }
                self.clients.hot[session.index()].asking -= 1;
                // Nothing is added for a subscription that has been taken back (MQTT-3.10.4-2).
                if !self.has_subscribed(session, &filter) {
                    return;
                }
                let mut messages = Vec::new();
                let retained = &self.routing.retained;
                self.replays.spent += retained.matching(&filter, now_ms, &mut messages);
                self.replays.leave_out_older(&mut messages, asked_at);
                self.replay_messages(now_ms, session, options, &messages);
            }
            Lookup::Other { asker, query } => self.answer(now_ms, asker, &query),
        }
    }

    fn answer(&mut self, now_ms: u64, asker: ShardId, query: &RetainQuery) {
        let mut messages = Vec::new();
        let retained = &self.routing.retained;
        self.replays.spent += retained.matching(&query.filter, now_ms, &mut messages);
        self.clients.mesh(
            asker,
            MeshMessage::RetainReply {
                ticket: query.ticket,
                messages,
            },
        );
    }

    /// A message with a number of a retained store has come from another shard.
    pub(super) fn note_remote_retained(&mut self, from: ShardId, topic: &str, retain_seq: u64) {
        let owner = owner_of_topic(topic, self.clients.shards);
        let seen = &mut self.replays.seen[from.index()][owner.index()];
        *seen = (*seen).max(retain_seq);
        self.replays.note_live(topic);
    }

    /// Replays the retained messages of subscriptions: those of one after the other, so that a client that does not take
    /// them makes the broker hold, and look for, no more than a bound.
    pub(super) fn want_replays(
        &mut self,
        now_ms: u64,
        session: SessionId,
        filters: impl IntoIterator<Item = (Box<str>, EntryOptions)>,
    ) {
        for (filter, options) in filters {
            if self.may_replay(session) {
                self.replay(now_ms, session, &filter, options);
                continue;
            }
            let Some(entry) = self.clients.session(session) else {
                return;
            };
            let replays = &mut entry.rare().replays;
            if replays.len() < limits::REPLAYS_WAITING_MAX {
                replays.push_back((filter, options));
            } else if let Some(conn) = self.clients.conn_of(session) {
                return self.protocol_error(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
            }
        }
    }

    /// Goes on where `want_replays` stopped.
    pub(super) fn next_replays(&mut self, now_ms: u64, session: SessionId) {
        while self.may_replay(session) {
            let rare = self
                .clients
                .session(session)
                .and_then(|entry| entry.rare.as_mut());
            let Some((filter, options)) = rare.and_then(|rare| rare.replays.pop_front()) else {
                return;
            };
            if self.has_subscribed(session, &filter) {
                self.replay(now_ms, session, &filter, options);
            }
        }
    }

    fn may_replay(&mut self, session: SessionId) -> bool {
        let hot = self.clients.hot[session.index()];
        let waiting = self
            .clients
            .session(session)
            .and_then(|entry| entry.flow.as_ref())
            .map_or(0, |flow| flow.replaying());
        hot.conn != NONE
            && hot.asking < limits::REPLAY_QUESTIONS_MAX
            && waiting < limits::REPLAY_MESSAGES_MAX
    }

    /// Replays the retained messages that match a filter to a session that has just subscribed.
    fn replay(&mut self, now_ms: u64, session: SessionId, filter: &str, options: EntryOptions) {
        let own = self.clients.shard;
        let Some(serial) = self.clients.session(session).map(|entry| entry.serial) else {
            return;
        };
        let only = (!has_wildcard(filter)).then(|| owner_of_topic(filter, self.clients.shards));
        if only.is_none_or(|owner| owner == own) {
            self.clients.hot[session.index()].asking += 1;
            let lookup = Lookup::Own {
                session,
                serial,
                filter: filter.into(),
                options,
                asked_at: self.replays.live_count,
            };
            self.look_up(now_ms, lookup);
        }
        let owners: Vec<ShardId> = (0..self.replays.shards)
            .map(ShardId)
            .filter(|&shard| shard != own && only.is_none_or(|owner| owner == shard))
            .collect();
        if owners.is_empty() {
            return;
        }
        self.clients.hot[session.index()].asking += 1;
        let ticket = self.interests.next_ticket();
        let asked_at = self.replays.live_count;
        let missing = owners.len() as u8;
        self.replays.open.insert(
            ticket,
            Question {
                session,
                serial,
                options,
                missing,
                asked_at,
            },
        );
        for owner in owners {
            let seen = self
                .replays
                .seen
                .iter()
                .map(|by_owner| by_owner[owner.index()])
                .collect();
            let query = RetainQuery {
                ticket,
                filter: filter.into(),
                seen,
            };
            self.clients
                .mesh(owner, MeshMessage::RetainQuery(Box::new(query)));
        }
    }

    /// An owner has answered.
    pub(super) fn on_retain_reply(
        &mut self,
        now_ms: u64,
        ticket: u32,
        mut messages: Vec<Arc<Message>>,
    ) {
        let Some(question) = self.replays.open.get_mut(&ticket) else {
            return;
        };
        question.missing -= 1;
        let (session, serial, options, asked_at) = (
            question.session,
            question.serial,
            question.options,
            question.asked_at,
        );
        let is_last = question.missing == 0;
        if is_last {
            self.replays.open.remove(&ticket);
        }
        self.replays.leave_out_older(&mut messages, asked_at);
        self.replays.clear_live();
        let is_same = self
            .clients
            .session(session)
            .is_some_and(|entry| entry.serial == serial);
        if is_same {
            self.clients.hot[session.index()].asking -= u8::from(is_last);
            self.replay_messages(now_ms, session, options, &messages);
            self.next_replays(now_ms, session);
        }
    }

    /// Puts retained messages behind what waits for a session; they follow as fast as the client takes them.
    fn replay_messages(
        &mut self,
        now_ms: u64,
        session: SessionId,
        options: EntryOptions,
        messages: &[Arc<Message>],
    ) {
        let is_away = self.clients.conn_of(session).is_none();
        let serial = self
            .clients
            .session(session)
            .map_or(0, |entry| entry.serial);
        for message in messages {
            let qos = if self.clients.settings.upgrade_outgoing_qos {
                options.qos
            } else {
                options.qos.min(message.qos)
            };
            if (options.no_local && message.origin == serial) || (is_away && qos == 0) {
                continue;
            }
            let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
            if !self.clients.may_read(session, topic, &mut 0) {
                continue;
            }
            let bits = Delivery::pack(qos, true, options.subscription_id);
            self.clients
                .enqueue(session, bits, Origin::RETAINED, message.clone());
        }
        self.clients.pump(now_ms, session);
    }
}
