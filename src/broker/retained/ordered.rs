//! One order for the retained messages of a topic: all that are subscribed end with what is retained.
//!
//! A retained message goes to the owner of its topic, who stores it and passes it on, in the order in which such messages
//! come to it: to the shards that had subscribers when it was published, its publisher's among them. What its publisher
//! then sends to the same topic goes the same way while that message is under way, retained or not; where nothing is under
//! way messages go straight to all shards.
//!
//! Two ways lead to a shard therefore, and none may overtake the other. In front of a message that comes by the owner,
//! those are handled that its publisher's shard had sent straight before (`Ordered::after`); and before a shard sends
//! straight again it says how many messages of the owner come first (`MeshMessage::After`). Until then what has come from
//! the other shard waits. Each waits only for what had been sent before it was, so that no two wait for each other.
//!
//! A publisher whose messages owners do not pass on has to wait (`under_way`), and a shard takes nothing more of another one
//! whose next message has to wait: it stays in the ring between them, which makes that shard wait in turn. An owner that has
//! much waiting itself says late what it has passed on. None of this closes a circle: a message waits for earlier ones only,
//! shards take what need not wait whatever they have waiting themselves, and nothing waits for what is said late but
//! publishers.
//!
//! Which shards get a message is decided by its publisher's, at the moment when it is published, as for any other: the
//! barrier behind SUBACK and the numbers of stores (`replay`) mean the same for both.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::crowd::Crowd;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::mesh_message::{MeshMessage, Ordered};
use crate::broker::retained::replay::topic_hash;
use crate::broker::retained::under_way::UnderWay;
use crate::broker::{Broker, owner_of_topic};
use crate::ids::{SessionId, ShardId};
use crate::mqtt::message::Message;
use crate::routing::{Store, Target};
use crate::table::Table;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A message that is under way by an owner.
struct Given {
    /// Its number among all that the owner was given.
    number: u64,
    topic: u64,
    /// The session of its publisher.
    serial: u64,
    bytes: u32,
}

/// See the module.
pub struct Ordering {
    /// By owner: how many messages of this shard it was given to pass on.
    given: Vec<u64>,
    /// By owner: those of them that are under way.
    queues: Vec<VecDeque<Given>>,
    /// By topic: the number of the last one.
    last: HashMap<u64, u64, FixedState>,
    /// How much that is, and who waits until it is less.
    pub under_way: UnderWay,
    /// Counts how often nothing was under way any more.
    period: u32,
    /// By session: the period in which it last published a retained message.
    marks: Table<u32>,
    /// By shard: how many of its messages this one has passed on as an owner.
    passed_on: Vec<u64>,
    /// The shards that have not been told of all of them.
    untold: u64,
    /// By shard: how many messages of it have been handled here.
    handled: Vec<u64>,
    /// By shard: messages that wait for those of others.
    held: Vec<VecDeque<MeshMessage>>,
    held_count: usize,
    held_bytes: usize,
    /// Some of them wait no more, but the turn is full.
    is_cut: bool,
    /// Much waits in front of the mesh here.
    is_congested: bool,
}

impl Ordering {
    pub fn new(shards: u8) -> Self {
        let count = usize::from(shards);
        Ordering {
            given: vec![0; count],
            queues: (0..count).map(|_| VecDeque::new()).collect(),
            last: HashMap::with_hasher(FixedState::with_seed(0)),
            under_way: UnderWay::default(),
            period: 1,
            marks: Table::new(),
            passed_on: vec![0; count],
            untold: 0,
            handled: vec![0; count],
            held: (0..count).map(|_| VecDeque::new()).collect(),
            held_count: 0,
            held_bytes: 0,
            is_cut: false,
            is_congested: false,
        }
    }

    /// A session publishes a retained message.
    pub fn mark(&mut self, session: SessionId) {
        if self.given.len() == 1 {
            return;
        }
        self.marks.ensure(session.index(), || 0);
        self.marks[session.index()] = self.period;
    }

    /// A client has come: what it has sent by another connection may be under way.
    pub fn mark_newcomer(&mut self, session: SessionId) {
        if !self.last.is_empty() {
            self.mark(session);
        }
    }

    /// Whether an earlier message of this session may be under way by an owner.
    #[inline]
    pub fn may_follow(&self, session: SessionId) -> bool {
        self.marks.get(session.index()) == Some(&self.period)
    }

    /// Whether there is something to do in the next turn: some shard is to be told what was passed on, or somebody who has
    /// waited goes on.
    #[inline]
    pub fn has_work(&self) -> bool {
        (self.untold != 0 && !self.is_congested) || self.is_cut || self.under_way.can_let_in()
    }

    /// Bytes of memory, but for messages.
    pub fn memory(&self) -> usize {
        let queues = self.queues.iter().map(VecDeque::capacity).sum::<usize>();
        let held = self.held.iter().map(VecDeque::capacity).sum::<usize>();
        self.last.allocation_size()
            + self.under_way.memory()
            + self.marks.memory()
            + queues * size_of::<Given>()
            + held * size_of::<MeshMessage>()
    }

    /// Bytes of messages that wait for those of other shards.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes as u64
    }

    /// Gives memory back after many messages, and after many sessions have ended.
    pub fn trim(&mut self, exists: impl Fn(SessionId) -> bool) {
        let is_free = |index: usize, _: &u32| !exists(SessionId(index as u32));
        self.marks.trim(is_free);
        self.last.shrink_to_fit();
        self.under_way.trim();
        for queue in &mut self.queues {
            queue.shrink_to_fit();
        }
        for held in &mut self.held {
            held.shrink_to_fit();
        }
    }

    /// A message is given to an owner; with `follows` what comes behind it has to go the same way.
    fn give(&mut self, owner: ShardId, message: &Message, topic: u64, follows: bool) {
        let number = &mut self.given[owner.index()];
        *number += 1;
        if follows {
            let (number, serial) = (*number, message.origin);
            let bytes = u32::try_from(message.cost()).unwrap_or(u32::MAX);
            self.queues[owner.index()].push_back(Given {
                number,
                topic,
                serial,
                bytes,
            });
            self.last.insert(topic, number);
            self.under_way.give(serial, bytes);
        }
    }

    /// An owner has passed on so many. Returns whether that ended the way by it for some topic; who waited for it goes to
    /// `go_on`.
    fn take_back(&mut self, owner: ShardId, count: u64, go_on: &mut Crowd) -> bool {
        let mut has_ended = false;
        while let Some(front) = self.queues[owner.index()].front()
            && front.number <= count
            && let Some(given) = self.queues[owner.index()].pop_front()
        {
            go_on.extend(self.under_way.take_back(given.serial, given.bytes));
            if self.last.get(&given.topic) == Some(&given.number) {
                self.last.remove(&given.topic);
                has_ended = true;
            }
        }
        if has_ended && self.last.is_empty() {
            self.period = self.period.wrapping_add(1);
        }
        has_ended
    }

    /// Whether what has to come before a message has been handled.
    fn is_due(&self, message: &MeshMessage, own: ShardId) -> bool {
        match message {
            MeshMessage::Relayed(ordered) if ordered.from != own => {
                let after = ordered.after.get(own.index());
                after.is_none_or(|&count| self.handled[ordered.from.index()] >= count)
            }
            MeshMessage::After { shard, count } => self.handled[shard.index()] >= *count,
            _ => true,
        }
    }

    /// Takes a message that has come, unless it has to wait.
    #[inline]
    fn admit(&mut self, from: ShardId, own: ShardId, message: MeshMessage) -> Option<MeshMessage> {
        let is_first = self.held_count == 0 || self.held[from.index()].is_empty();
        if is_first && self.is_due(&message, own) {
            return Some(message);
        }
        self.held_bytes += message.bytes();
        self.held_count += 1;
        self.held[from.index()].push_back(message);
        None
    }

    /// Whose next message need not wait any more.
    fn next_due(&self, own: ShardId) -> Option<ShardId> {
        let mut shards = (0..self.held.len()).map(|index| ShardId(index as u8));
        shards.find(|from| {
            let front = self.held[from.index()].front();
            front.is_some_and(|message| self.is_due(message, own))
        })
    }

    fn take_held(&mut self, from: ShardId) -> Option<MeshMessage> {
        let message = self.held[from.index()].pop_front()?;
        self.held_bytes -= message.bytes();
        self.held_count -= 1;
        Some(message)
    }
}

fn bit(shard: ShardId) -> u64 {
    1 << shard.0
}

impl Broker {
    /// The owner of a message's topic, if the message goes by it.
    #[inline]
    pub(in crate::broker) fn way_by(&self, message: &Outgoing<'_>) -> Option<ShardId> {
        if !message.retain && !message.may_follow {
            return None;
        }
        self.way_by_owner(message)
    }

    fn way_by_owner(&self, message: &Outgoing<'_>) -> Option<ShardId> {
        let retains = message.retain && self.clients.desk.settings.retain_available;
        let last = &self.ordering.last;
        if !retains && (last.is_empty() || !last.contains_key(&topic_hash(message.topic.as_str())))
        {
            return None;
        }
        let owner = owner_of_topic(message.topic.as_str(), self.clients.desk.shards);
        (owner != self.clients.desk.shard).then_some(owner)
    }

    /// Gives a message to the owner of its topic. Returns whether anybody wants it.
    pub(in crate::broker) fn route_by(
        &mut self,
        message: &mut Outgoing<'_>,
        owner: ShardId,
    ) -> bool {
        let (targets, is_wanted) = self.targets(message.topic.as_str());
        let owned = message.owned();
        let (mut seq, mut promised) = (0, 0);
        if message.retain {
            (seq, promised) = (self.replays.next_store(owner), self.promises.take_granted());
            if targets == 0 {
                self.clients.desk.mesh(
                    owner,
                    MeshMessage::RetainStore {
                        message: owned,
                        seq,
                        promised,
                    },
                );
                return is_wanted;
            }
        } else if targets == 0 {
            return is_wanted;
        }
        let own = self.clients.desk.shard;
        let has_third = targets & !(bit(owner) | bit(own)) != 0;
        let ordered = Ordered {
            message: owned,
            from: own,
            targets,
            seq,
            promised,
            after: match has_third {
                true => self.clients.desk.mesh_sent.clone(),
                false => Box::default(),
            },
        };
        let follows = targets & !bit(owner) != 0;
        let topic = topic_hash(message.topic.as_str());
        self.ordering.give(owner, &ordered.message, topic, follows);
        self.clients
            .desk
            .mesh(owner, MeshMessage::Ordered(Arc::new(ordered)));
        is_wanted
    }

    /// The shards that have subscribers for a topic, this one among them.
    fn targets(&mut self, topic: &str) -> (u64, bool) {
        let mut matched = std::mem::take(&mut self.routing.matched);
        matched.clear();
        let subscriptions = &mut self.routing.subscriptions;
        let visited = subscriptions.matching(topic, &mut matched);
        self.clients.memory.turn.count_match(visited);
        let own = bit(self.clients.desk.shard);
        let entries = matched
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter));
        let targets = entries.fold(0, |targets, entry| match entry.target() {
            Target::Shard(shard) => targets | bit(shard),
            Target::Session(_) | Target::Group(_) => targets | own,
        });
        self.routing.matched = matched;
        (targets, targets != 0)
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
            self.note_applied(from, ordered.seq);
        }
        let own = bit(self.clients.desk.shard);
        let mut others = ordered.targets & !own;
        if others != 0 {
            self.ordering.untold |= bit(from);
        }
        self.ordering.passed_on[from.index()] += 1;
        while others != 0 {
            let to = ShardId(others.trailing_zeros() as u8);
            others &= others - 1;
            self.clients
                .desk
                .mesh(to, MeshMessage::Relayed(ordered.clone()));
        }
        if ordered.targets & own != 0 {
            self.on_relayed(now_ms, self.clients.desk.shard, &ordered);
        }
        if ordered.seq > 0 {
            self.look_up_held(now_ms);
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

    /// Tells shards what was passed on for them, once for all that came together.
    ///
    /// Not while much waits here: they would send more, and it is not known whose messages those are that wait.
    pub(in crate::broker) fn tell_passed_on(&mut self) {
        if self.ordering.is_congested {
            return;
        }
        let mut untold = std::mem::take(&mut self.ordering.untold);
        while untold != 0 {
            let to = ShardId(untold.trailing_zeros() as u8);
            untold &= untold - 1;
            let sent = match self.clients.desk.shards {
                2 => Box::default(),
                _ => self.clients.desk.mesh_sent.clone(),
            };
            let count = self.ordering.passed_on[to.index()];
            self.clients
                .desk
                .mesh(to, MeshMessage::PassedOn { count, sent });
        }
    }

    /// An owner has passed on messages of this shard: what is sent straight from here on comes behind them.
    pub(in crate::broker) fn on_passed_on(&mut self, owner: ShardId, count: u64, sent: &[u64]) {
        if !self
            .ordering
            .take_back(owner, count, &mut self.clients.peers.next_turn)
        {
            return;
        }
        for (index, &count) in sent.iter().enumerate() {
            let to = ShardId(index as u8);
            if to != owner && to != self.clients.desk.shard {
                let shard = owner;
                self.clients
                    .desk
                    .mesh(to, MeshMessage::After { shard, count });
            }
        }
    }

    /// Whether a message of another shard is to be taken now. Else it stays where it is, and so do all behind it: the one
    /// before it has to wait for those of others, or the turn is full.
    #[inline]
    pub fn takes_from(&self, from: ShardId) -> bool {
        !self.is_turn_full() && self.ordering.held[from.index()].is_empty()
    }

    /// Whether much waits in front of the mesh on this shard.
    #[inline]
    pub fn on_congestion(&mut self, is_congested: bool) {
        self.ordering.is_congested = is_congested;
    }

    /// A message from another shard has come: handled when its turn is.
    pub fn on_mesh(&mut self, now_ms: u64, from: ShardId, message: MeshMessage) {
        let own = self.clients.desk.shard;
        if let Some(message) = self.ordering.admit(from, own, message) {
            self.on_mesh_message(now_ms, from, message);
            self.ordering.handled[from.index()] += 1;
        }
        if self.ordering.held_count > 0 {
            self.release_held(now_ms);
        }
        self.end_event(now_ms);
    }

    /// What need not wait any more is handled, until the turn is full.
    fn release_held(&mut self, now_ms: u64) {
        let own = self.clients.desk.shard;
        while let Some(from) = self.ordering.next_due(own) {
            self.ordering.is_cut = self.is_turn_full();
            if self.ordering.is_cut {
                return;
            }
            if let Some(message) = self.ordering.take_held(from) {
                self.on_mesh_message(now_ms, from, message);
                self.ordering.handled[from.index()] += 1;
            }
        }
        self.ordering.is_cut = false;
    }

    /// Messages that the last turn was too full for.
    pub(in crate::broker) fn release_in_turn(&mut self, now_ms: u64) {
        if self.ordering.is_cut {
            self.begin_mesh();
            self.release_held(now_ms);
        }
    }
}
