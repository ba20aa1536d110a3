//! The retained messages (MQTT 5, 3.3.1.3) of the topics that one shard owns.
//!
//! A topic is found by its whole name in `topics`, and by a filter a page at a time (`page.rs`). The nodes of the tree
//! link their children in the order of their first message, so that the order of what a filter finds depends on
//! nothing but the calls that were made. The messages are beside the tree, by the number of their topic's node, where
//! they can be looked through one after the other; a message stays in its slot as long as it is stored.
//!
//! Invariants: `topics` has exactly the nodes with a message; `kept` has a place for each of them; every leaf has a
//! message; the children of a node form a ring that starts at `first_child`; `bytes` is the sum of the messages'
//! costs.

mod page;

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::tree::{NONE, ROOT, Tree, levels};
use crate::ids::ShardId;
use crate::index::Index;
use crate::mqtt::message::Message;
use crate::table::Table;
pub use page::{Cursor, Page, PageBounds};

/// What a node of the tree is linked to.
struct Topic {
    first_child: u32,
    next: u32,
    previous: u32,
}

impl Default for Topic {
    fn default() -> Topic {
        Topic {
            first_child: NONE,
            next: NONE,
            previous: NONE,
        }
    }
}

/// The shard that a message was published on, and which of that shard's stores at this owner it was.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Store(u64);

/// Bits of the number of a store: a million a second for 2,000 years.
const NUMBER_BITS: u32 = 56;

impl Store {
    /// The first one of the first shard.
    #[cfg(test)]
    pub const FIRST: Store = Store(1);

    /// The store with this number, counted from 1 by the shard.
    pub fn new(shard: ShardId, number: u64) -> Store {
        Store(u64::from(shard.0) << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// Whether it is among the stores that somebody knows of: by shard, the number of the last one.
    #[inline]
    fn is_in(self, known: &[u64]) -> bool {
        let number = self.0 & ((1 << NUMBER_BITS) - 1);
        known
            .get((self.0 >> NUMBER_BITS) as usize)
            .is_none_or(|&last| number <= last)
    }
}

/// What a slot of the tree keeps.
#[derive(Default)]
struct Kept {
    message: Option<Arc<Message>>,
    store: Store,
}

/// The retained messages of one shard.
pub struct Retained {
    tree: Tree<Topic>,
    /// By the number of a node.
    kept: Table<Kept>,
    topics: Index,
    hasher: FixedState,
    bytes: usize,
    swept: u32,
}

impl Retained {
    /// No message yet; the seed is for the hash functions.
    pub fn new(seed: u64) -> Retained {
        Retained {
            tree: Tree::new(seed),
            kept: Table::new(),
            topics: Index::new(),
            hasher: FixedState::with_seed(seed),
            bytes: 0,
            swept: 0,
        }
    }

    /// Stores a message as its topic's, with where it came from; returns the one it replaces (MQTT-3.3.1-5).
    pub fn set(&mut self, message: Arc<Message>, store: Store) -> Option<Arc<Message>> {
        self.bytes += message.cost();
        let hash = hash(&self.hasher, message.topic.as_bytes());
        if let Some(node) = self.node_of(hash, message.topic.as_bytes()) {
            let kept = &mut self.kept[node as usize];
            kept.store = store;
            let old = kept.message.replace(message);
            self.bytes -= old.as_ref().map_or(0, |old| old.cost());
            return old;
        }
        let mut node = ROOT;
        for level in levels(message.topic.as_bytes()) {
            let (child, created) = self.tree.child_or_insert(node, level);
            if created {
                self.link(node, child);
            }
            node = child;
        }
        self.kept.ensure(node as usize, Kept::default);
        self.kept[node as usize] = Kept {
            message: Some(message),
            store,
        };
        let (kept, hasher) = (&self.kept, &self.hasher);
        self.topics
            .insert(hash, node, |node| topic_hash(kept, hasher, node));
        None
    }

    /// Removes the message of a topic.
    pub fn remove(&mut self, topic: &str) -> Option<Arc<Message>> {
        let node = self.node_of(hash(&self.hasher, topic.as_bytes()), topic.as_bytes())?;
        self.remove_node(node)
    }

    /// The message of a topic, also when it has expired.
    pub fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        let node = self.node_of(hash(&self.hasher, topic.as_bytes()), topic.as_bytes())?;
        self.message(node)
    }

    /// The message in a place of those that `places` counts: it stays there as long as it is stored, and so does the next of its topic.
    pub fn at(&self, place: u32) -> Option<&Arc<Message>> {
        self.message(place)
    }

    /// Removes what has expired among the next `budget` places, going round; returns the messages that went.
    pub fn sweep(&mut self, now_ms: u64, budget: usize) -> Vec<Arc<Message>> {
        let mut removed = Vec::new();
        for _ in 0..budget.min(self.tree.slots() as usize) {
            self.swept = if self.swept + 1 < self.tree.slots() {
                self.swept + 1
            } else {
                0
            };
            let message = self.message(self.swept);
            if message.is_some_and(|message| message.expires_at_ms <= now_ms) {
                removed.extend(self.remove_node(self.swept));
            }
        }
        removed
    }

    /// All messages, for checks.
    #[cfg(test)]
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.kept.iter().filter_map(|kept| kept.message.as_ref())
    }

    /// Places that `sweep` goes through in a round.
    pub fn places(&self) -> usize {
        self.tree.slots() as usize
    }

    /// Gives memory back that is only kept for growth.
    pub fn trim(&mut self) {
        self.tree.trim();
        self.kept.trim(|_, kept| kept.message.is_none());
        let (kept, hasher) = (&self.kept, &self.hasher);
        self.topics.shrink(|node| topic_hash(kept, hasher, node));
    }

    /// Messages.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes that the messages hold, as `Message::cost` has it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory beside the messages.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.tree.memory() + self.kept.memory() + self.topics.memory()
    }

    /// Nodes and names in use, for the tests that none is left behind.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.tree.len(), self.tree.names())
    }

    fn node_of(&self, hash: u64, topic: &[u8]) -> Option<u32> {
        self.topics
            .find(hash, |node| topic_of(&self.kept, node) == topic)
    }

    /// What a slot keeps; whether there is such a slot is not asked.
    #[inline]
    fn message(&self, slot: u32) -> Option<&Arc<Message>> {
        self.kept.get(slot as usize)?.message.as_ref()
    }

    fn remove_node(&mut self, node: u32) -> Option<Arc<Message>> {
        let (kept, hasher) = (&self.kept, &self.hasher);
        let hash = topic_hash(kept, hasher, node);
        self.topics
            .remove(hash, node, |node| topic_hash(kept, hasher, node));
        let message = self.kept[node as usize].message.take()?;
        self.bytes -= message.cost();
        let mut at = node;
        while at != ROOT && !self.tree.node(at).has_children() && self.message(at).is_none() {
            self.unlink(at);
            at = self.tree.remove_leaf(at);
        }
        Some(message)
    }

    /// Puts a new child at the end of its parent's ring.
    fn link(&mut self, parent: u32, child: u32) {
        let first = self.tree.node(parent).value.first_child;
        if first == NONE {
            self.tree.node_mut(parent).value.first_child = child;
            let topic = &mut self.tree.node_mut(child).value;
            (topic.next, topic.previous) = (child, child);
            return;
        }
        let last = self.tree.node(first).value.previous;
        self.tree.node_mut(first).value.previous = child;
        self.tree.node_mut(last).value.next = child;
        let topic = &mut self.tree.node_mut(child).value;
        (topic.next, topic.previous) = (first, last);
    }

    /// Takes a child out of its parent's ring.
    fn unlink(&mut self, child: u32) {
        let parent = self.tree.parent(child);
        let Topic { next, previous, .. } = self.tree.node(child).value;
        self.tree.node_mut(next).value.previous = previous;
        self.tree.node_mut(previous).value.next = next;
        let first = &mut self.tree.node_mut(parent).value.first_child;
        if *first == child {
            *first = if next == child { NONE } else { next };
        }
    }
}

/// The name of a topic that has a message.
fn topic_of(kept: &Table<Kept>, node: u32) -> &[u8] {
    let message = kept[node as usize].message.as_ref();
    message.map_or(&[], |message| message.topic.as_bytes())
}

fn topic_hash(kept: &Table<Kept>, hasher: &FixedState, node: u32) -> u64 {
    hash(hasher, topic_of(kept, node))
}

#[inline]
fn hash(hasher: &FixedState, topic: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(topic);
    hasher.finish()
}
