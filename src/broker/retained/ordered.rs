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
use crate::broker::desk::Desk;
use crate::broker::mesh_message::{MeshMessage, Ordered};
use crate::broker::placement::{owner_of_topic, topic_number};
use crate::broker::retained::under_way::UnderWay;
use crate::ids::{ConnId, SessionId, ShardId};
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
pub(crate) struct Ordering {
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
    pub(crate) fn new(shards: u8) -> Self {
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
    pub(crate) fn mark(&mut self, session: SessionId) {
        if self.given.len() == 1 {
            return;
        }
        self.marks.ensure(session.index(), || 0);
        self.marks[session.index()] = self.period;
    }

    /// A client has come: what it has sent by another connection may be under way.
    pub(crate) fn mark_newcomer(&mut self, session: SessionId) {
        if !self.last.is_empty() {
            self.mark(session);
        }
    }

    /// Whether an earlier message of this session may be under way by an owner.
    #[inline]
    pub(crate) fn may_follow(&self, session: SessionId) -> bool {
        self.marks.get(session.index()) == Some(&self.period)
    }

    /// Whether there is something to do in the next turn: some shard is to be told what was passed on, or somebody who has
    /// waited goes on.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        (self.untold != 0 && !self.is_congested) || self.is_cut || self.under_way.can_let_in()
    }

    /// Bytes of memory, but for messages.
    pub(crate) fn memory(&self) -> usize {
        let queues = self.queues.iter().map(VecDeque::capacity).sum::<usize>();
        let held = self.held.iter().map(VecDeque::capacity).sum::<usize>();
        self.last.allocation_size()
            + self.under_way.memory()
            + self.marks.memory()
            + queues * size_of::<Given>()
            + held * size_of::<MeshMessage>()
    }

    /// Bytes of messages that wait for those of other shards.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes as u64
    }

    /// Gives memory back after many messages, and after many sessions have ended.
    pub(crate) fn trim(&mut self, exists: impl Fn(SessionId) -> bool) {
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

    /// The owner of a message's topic, if the message goes by it.
    #[inline]
    pub(crate) fn way_by(&self, desk: &Desk, message: &Outgoing<'_>) -> Option<ShardId> {
        match message.retain || message.may_follow {
            true => self.way_by_owner(desk, message),
            false => None,
        }
    }

    fn way_by_owner(&self, desk: &Desk, message: &Outgoing<'_>) -> Option<ShardId> {
        let topic = message.topic.as_str();
        let retains = message.retain && desk.settings.retain_available;
        let last = &self.last;
        if !retains && (last.is_empty() || !last.contains_key(&topic_number(topic))) {
            return None;
        }
        let owner = owner_of_topic(topic, desk.shards);
        (owner != desk.shard).then_some(owner)
    }

    /// A message is given to the owner of its topic, to be passed on.
    pub(crate) fn give(&mut self, desk: &mut Desk, owner: ShardId, ordered: Ordered) {
        let number = &mut self.given[owner.index()];
        *number += 1;
        // If another shard gets it, what comes behind it has to go the same way.
        if ordered.targets & !bit(owner) != 0 {
            let message = &ordered.message;
            let topic = topic_number(&message.topic);
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
        desk.mesh(owner, MeshMessage::Ordered(Arc::new(ordered)));
    }

    /// An owner has passed on messages of this shard: what is sent straight from here on comes behind them. Who waited for that
    /// goes to `go_on`.
    pub(crate) fn on_passed_on(
        &mut self,
        desk: &mut Desk,
        go_on: &mut Crowd,
        owner: ShardId,
        (count, sent): (u64, &[u64]),
    ) {
        if !self.take_back(owner, count, go_on) {
            return;
        }
        for (index, &count) in sent.iter().enumerate() {
            let to = ShardId(index as u8);
            if to != owner && to != desk.shard {
                let shard = owner;
                desk.mesh(to, MeshMessage::After { shard, count });
            }
        }
    }

    /// An owner has passed on so many. Returns whether that ended the way by it for some topic.
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

    /// Whether a message of a connection has to wait until owners have passed on what its session has sent before; if so, it is
    /// noted. `retains`: it is one that is to be retained.
    pub(crate) fn waits(
        &mut self,
        conn: ConnId,
        session: SessionId,
        serial: u64,
        retains: bool,
    ) -> bool {
        let by_owner = retains || self.may_follow(session);
        self.under_way.waits(conn, serial, by_owner)
    }

    /// This shard passes on a message of another one, as the owner of its topic; to shards beside itself, if to any.
    pub(crate) fn note_passed_on(&mut self, from: ShardId, to_others: bool) {
        if to_others {
            self.untold |= bit(from);
        }
        self.passed_on[from.index()] += 1;
    }

    /// By shard: how many of its messages have been handled here.
    pub(crate) fn handled(&self) -> impl Iterator<Item = (u8, u64)> {
        self.handled
            .iter()
            .enumerate()
            .map(|(from, &count)| (from as u8, count))
    }

    /// Tells shards what was passed on for them, once for all that came together.
    ///
    /// Not while much waits here: they would send more, and it is not known whose messages those are that wait.
    pub(crate) fn tell_passed_on(&mut self, desk: &mut Desk) {
        if self.is_congested {
            return;
        }
        let mut untold = std::mem::take(&mut self.untold);
        while untold != 0 {
            let to = ShardId(untold.trailing_zeros() as u8);
            untold &= untold - 1;
            let sent = match desk.shards {
                2 => Box::default(),
                _ => desk.mesh_sent.clone(),
            };
            let count = self.passed_on[to.index()];
            desk.mesh(to, MeshMessage::PassedOn { count, sent });
        }
    }

    /// Whether much waits in front of the mesh on this shard.
    #[inline]
    pub(crate) fn set_congested(&mut self, is_congested: bool) {
        self.is_congested = is_congested;
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

    /// Whether no message of another shard waits here.
    #[inline]
    pub(crate) fn is_open_to(&self, from: ShardId) -> bool {
        self.held[from.index()].is_empty()
    }

    /// Takes a message that has come, unless it has to wait. What is taken is to be handled, and noted then.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        from: ShardId,
        own: ShardId,
        message: MeshMessage,
    ) -> Option<MeshMessage> {
        let is_first = self.held_count == 0 || self.held[from.index()].is_empty();
        if is_first && self.is_due(&message, own) {
            return Some(message);
        }
        self.held_bytes += message.bytes();
        self.held_count += 1;
        self.held[from.index()].push_back(message);
        None
    }

    /// A message of another shard has been handled.
    #[inline]
    pub(crate) fn note_handled(&mut self, from: ShardId) {
        self.handled[from.index()] += 1;
    }

    /// Whether messages wait here for those of other shards.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        self.held_count > 0
    }

    /// Whether some of them wait for the next turn only.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Takes the next message that has waited and need not any more, and whose it is. When the turn is full it waits for the next
    /// one.
    pub(crate) fn release(
        &mut self,
        own: ShardId,
        is_full: bool,
    ) -> Option<(ShardId, MeshMessage)> {
        let from = self.next_due(own);
        self.is_cut = is_full && from.is_some();
        let from = from.filter(|_| !is_full)?;
        Some((from, self.take_held(from)?))
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

/// A shard among others.
pub(crate) fn bit(shard: ShardId) -> u64 {
    1 << shard.0
}
