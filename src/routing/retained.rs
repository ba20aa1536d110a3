//! The retained messages (MQTT 5, 3.3.1.3) of the topics that one shard owns.
//!
//! A topic is found by its whole name in `topics`, and by a filter through the tree, whose nodes link their children
//! in the order of their first message, so that the order of what a filter finds depends on nothing but the calls
//! that were made.
//!
//! Invariants: `topics` has exactly the nodes with a message; every leaf has a message; the children of a node form a
//! ring that starts at `first_child`; `bytes` is the sum of the messages' costs.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::symbols::Symbol;
use super::tree::{NONE, ROOT, Tree, levels};
use crate::mqtt::message::Message;

struct Topic {
    first_child: u32,
    next: u32,
    previous: u32,
    message: Option<Arc<Message>>,
}

impl Default for Topic {
    fn default() -> Topic {
        Topic {
            first_child: NONE,
            next: NONE,
            previous: NONE,
            message: None,
        }
    }
}

/// One level of a filter.
#[derive(Clone, Copy)]
enum Step {
    Name(Symbol),
    Any,
    Rest,
}

/// The retained messages of one shard.
pub struct Retained {
    tree: Tree<Topic>,
    topics: HashTable<u32>,
    hasher: FixedState,
    bytes: usize,
    swept: u32,
}

impl Retained {
    /// No message yet; the seed is for the hash functions.
    pub fn new(seed: u64) -> Retained {
        Retained {
            tree: Tree::new(seed),
            topics: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            bytes: 0,
            swept: 0,
        }
    }

    /// Stores a message as its topic's; returns the one it replaces (MQTT-3.3.1-5).
    pub fn set(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        self.bytes += message.cost();
        let hash = hash(&self.hasher, &message.topic);
        if let Some(node) = self.node_of(hash, &message.topic) {
            let old = self.tree.node_mut(node).value.message.replace(message);
            self.bytes -= old.as_ref().map_or(0, |old| old.cost());
            return old;
        }
        let mut node = ROOT;
        for level in levels(&message.topic) {
            let (child, created) = self.tree.child_or_insert(node, level);
            if created {
                self.link(node, child);
            }
            node = child;
        }
        self.tree.node_mut(node).value.message = Some(message);
        let (tree, hasher) = (&self.tree, &self.hasher);
        self.topics
            .insert_unique(hash, node, |&node| topic_hash(tree, hasher, node));
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
        self.tree.node(node).value.message.as_ref()
    }

    /// Appends the messages whose topics match a filter and that have not expired (MQTT-3.3.2-5), topics in tree
    /// order. A filter that starts with a wildcard does not match topics that start with `$` (MQTT-4.7.2-1).
    /// Returns how many nodes it has visited.
    pub fn matching(&self, filter: &str, now_ms: u64, out: &mut Vec<Arc<Message>>) -> usize {
        let mut steps: SmallVec<[Step; 16]> = SmallVec::new();
        for level in levels(filter.as_bytes()) {
            steps.push(match level {
                b"+" => Step::Any,
                b"#" => Step::Rest,
                _ => match self.tree.symbol(level) {
                    Some(symbol) => Step::Name(symbol),
                    None => return 0,
                },
            });
        }
        let mut ahead: SmallVec<[(u32, u32); 16]> = SmallVec::new();
        ahead.push((ROOT, 0));
        let mut visited = 0;
        while let Some((node, depth)) = ahead.pop() {
            visited += 1;
            match steps.get(depth as usize) {
                None => self.take(node, now_ms, out),
                Some(&Step::Name(symbol)) => ahead.extend(
                    self.tree
                        .child(node, symbol)
                        .map(|child| (child, depth + 1)),
                ),
                Some(Step::Any) => self.push_children(node, depth + 1, &mut ahead),
                Some(Step::Rest) => {
                    self.take(node, now_ms, out);
                    self.push_children(node, depth, &mut ahead);
                }
            }
        }
        visited
    }

    /// Removes what has expired among the next `budget` places, going round; returns how many messages went.
    pub fn sweep(&mut self, now_ms: u64, budget: usize) -> usize {
        let mut removed = 0;
        for _ in 0..budget.min(self.tree.slots() as usize) {
            self.swept = if self.swept + 1 < self.tree.slots() {
                self.swept + 1
            } else {
                0
            };
            let node = self.tree.living(self.swept);
            let message = node.and_then(|node| node.value.message.as_ref());
            if message.is_some_and(|message| message.expires_at_ms <= now_ms) {
                self.remove_node(self.swept);
                removed += 1;
            }
        }
        removed
    }

    /// Gives memory back that is only kept for growth.
    pub fn trim(&mut self) {
        let (tree, hasher) = (&self.tree, &self.hasher);
        self.topics
            .shrink_to_fit(|&node| topic_hash(tree, hasher, node));
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
        size_of::<Self>() + self.tree.memory() + self.topics.allocation_size()
    }

    /// Nodes and names in use, for the tests that none is left behind.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.tree.len(), self.tree.names())
    }

    fn node_of(&self, hash: u64, topic: &[u8]) -> Option<u32> {
        self.topics
            .find(hash, |&node| topic_of(&self.tree, node) == topic)
            .copied()
    }

    fn take(&self, node: u32, now_ms: u64, out: &mut Vec<Arc<Message>>) {
        let message = self.tree.node(node).value.message.as_ref();
        out.extend(
            message
                .filter(|message| message.expires_at_ms > now_ms)
                .cloned(),
        );
    }

    /// Pushes the children that a wildcard matches, the first one last, so that it is looked at first.
    fn push_children(&self, node: u32, depth: u32, ahead: &mut SmallVec<[(u32, u32); 16]>) {
        let first = self.tree.node(node).value.first_child;
        if first == NONE {
            return;
        }
        let mut child = first;
        loop {
            child = self.tree.node(child).value.previous;
            if node != ROOT || self.tree.level(child).first() != Some(&b'$') {
                ahead.push((child, depth));
            }
            if child == first {
                return;
            }
        }
    }

    fn remove_node(&mut self, node: u32) -> Option<Arc<Message>> {
        let hash = topic_hash(&self.tree, &self.hasher, node);
        if let Ok(found) = self.topics.find_entry(hash, |&other| other == node) {
            found.remove();
        }
        let message = self.tree.node_mut(node).value.message.take()?;
        self.bytes -= message.cost();
        let mut at = node;
        while at != ROOT
            && !self.tree.node(at).has_children()
            && self.tree.node(at).value.message.is_none()
        {
            self.unlink(at);
            at = self.tree.remove_leaf(at);
        }
        let (tree, hasher) = (&self.tree, &self.hasher);
        super::shrink_table(&mut self.topics, |&node| topic_hash(tree, hasher, node));
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
fn topic_of(tree: &Tree<Topic>, node: u32) -> &[u8] {
    tree.node(node)
        .value
        .message
        .as_ref()
        .map_or(&[], |message| &message.topic)
}

fn topic_hash(tree: &Tree<Topic>, hasher: &FixedState, node: u32) -> u64 {
    hash(hasher, topic_of(tree, node))
}

#[inline]
fn hash(hasher: &FixedState, topic: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(topic);
    hasher.finish()
}
