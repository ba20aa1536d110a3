//! Which filters a topic matches, and who subscribed to them: the sessions and shared subscriptions of this shard, and
//! the other shards that have subscribers of their own.
//!
//! Invariants: every leaf of the tree has at least one entry; a `FilterId` is the number of its node and names its
//! filter while the filter has an entry; a target has at most one entry per filter (MQTT-3.8.4-3).

use smallvec::SmallVec;

use super::cache::MatchCache;
use super::entry::{Entry, Held, Holder, Target};
use super::filter_id::FilterId;
use super::lists::Lists;
use super::symbols::{HASH, PLUS};
use super::tree::{Node, ROOT, Tree, levels};

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inserted {
    /// The filter.
    pub filter: FilterId,
    /// The entry of the same target that was there before.
    pub replaced: Option<Entry>,
    /// Whether this is the filter's first session or group: the other shards must hear that it is wanted here.
    pub first_local: bool,
}

/// What a removal took away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The entry.
    pub entry: Entry,
    /// Whether it was the filter's last session or group: the filter is no longer wanted here.
    pub last_local: bool,
}

/// The subscriptions that one shard knows of.
pub struct Subscriptions {
    tree: Tree<Holder>,
    lists: Lists,
    cache: MatchCache,
    len: usize,
}

impl Subscriptions {
    /// No subscription yet; the seed is for the hash functions.
    pub fn new(seed: u64) -> Subscriptions {
        Subscriptions {
            tree: Tree::new(seed),
            lists: Lists::new(seed),
            cache: MatchCache::new(seed),
            len: 0,
        }
    }

    /// Adds an entry to a filter (without `$share/GROUP/`), or replaces that of the same target (MQTT-3.8.4-3).
    /// The time it takes does not depend on the number of entries.
    pub fn insert(&mut self, filter: &str, entry: Entry) -> Inserted {
        let (mut node, mut made) = (ROOT, 0);
        for level in levels(filter.as_bytes()) {
            let (child, is_new) = self.tree.child_or_insert(node, level);
            (node, made) = (child, made + usize::from(is_new));
        }
        if made > 0 {
            self.tree.note_path(node, made);
        }
        let (replaced, locals_before) = self.add(node, entry);
        if replaced.is_none() {
            self.len += 1;
        }
        if matches!(self.tree.node(node).value.get(), Held::One(_)) && replaced.is_none() {
            self.cache.forget(filter.as_bytes());
        }
        Inserted {
            filter: FilterId(node),
            replaced,
            first_local: entry.is_local() && !locals_before,
        }
    }

    /// Removes the entry of a target, and the filter with its last entry.
    pub fn remove(&mut self, filter: FilterId, target: Target) -> Option<Removed> {
        let holder = self.tree.living(filter.0)?.value;
        let (entry, locals_after) = match holder.get() {
            Held::Nothing => return None,
            Held::One(entry) if entry.key() != target.key() => return None,
            Held::One(entry) => {
                self.remove_filter(filter.0);
                (entry, false)
            }
            Held::List(list) => {
                let (entry, last) = self.lists.remove(list, target.key())?;
                if let Some(last) = last {
                    self.tree.node_mut(filter.0).value = Holder::one(last);
                }
                (
                    entry,
                    last.map_or_else(|| self.lists.locals(list) > 0, Entry::is_local),
                )
            }
        };
        self.len -= 1;
        Some(Removed {
            entry,
            last_local: entry.is_local() && !locals_after,
        })
    }

    /// The filter by this name, if it has entries.
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        let node = self.tree.find(filter.as_bytes())?;
        (!self.tree.node(node).value.is_nothing()).then_some(FilterId(node))
    }

    /// Appends the name of a filter; nothing if it has no entries.
    pub fn filter_name(&self, filter: FilterId, out: &mut String) {
        if self.entries(filter).is_empty() {
            return;
        }
        let mut name = Vec::new();
        self.tree.path(filter.0, &mut name);
        // Levels are parts of a str between slashes, so that this is one too.
        if let Ok(name) = std::str::from_utf8(&name) {
            out.push_str(name);
        }
    }

    /// The entries of a filter, in no particular order.
    #[inline]
    pub fn entries(&self, filter: FilterId) -> &[Entry] {
        let Some(node) = self.tree.living(filter.0) else {
            return &[];
        };
        match node.value.get() {
            Held::Nothing => &[],
            Held::One(_) => node.value.as_slice(),
            Held::List(list) => self.lists.entries(list),
        }
    }

    /// The entry of a target.
    pub fn entry(&self, filter: FilterId, target: Target) -> Option<Entry> {
        match self.tree.living(filter.0)?.value.get() {
            Held::Nothing => None,
            Held::One(entry) => Some(entry).filter(|entry| entry.key() == target.key()),
            Held::List(list) => self.lists.find(list, target.key()),
        }
    }

    /// The filters that match a topic name, each once, instead of what `out` held. Those that start with a wildcard
    /// do not match topics that start with `$` (MQTT-4.7.2-1). Returns how many nodes were visited for it.
    #[inline]
    pub fn matching(&mut self, topic: &str, out: &mut SmallVec<[FilterId; 8]>) -> usize {
        out.clear();
        match self.cache.get(topic.as_bytes()) {
            Ok(filters) => {
                out.extend_from_slice(filters);
                0
            }
            Err(miss) => {
                let visited = self.walk(topic.as_bytes(), out);
                self.cache.put(miss, topic.as_bytes(), out);
                visited
            }
        }
    }

    /// As `matching`, without remembering: for topics that will not come again.
    pub fn matching_once(&self, topic: &str, out: &mut SmallVec<[FilterId; 8]>) -> usize {
        out.clear();
        self.walk(topic.as_bytes(), out)
    }

    /// Nodes of the tree that one topic can lead to, at most.
    pub fn reach(&self) -> u32 {
        self.tree.reach()
    }

    /// Whether with this filter that would be more than now, and more than `max`.
    pub fn reaches_too_far(&self, filter: &str, max: u32) -> bool {
        let longest = 1 + filter.bytes().filter(|&byte| byte == b'/').count() as u32;
        if self.reach().saturating_add(longest) <= max {
            return false; // as always but under attack: no level adds more than one node
        }
        let reach = self.tree.reach_with(filter.as_bytes());
        reach > max && reach > self.reach()
    }

    /// By how many nodes it would be more with this filter.
    pub fn reach_of(&self, filter: &str) -> u32 {
        let reach = self.tree.reach_with(filter.as_bytes());
        reach.saturating_sub(self.reach())
    }

    /// Computes anew how far topics can lead, if filters have gone that may have made it more. Takes some 50 ns for each
    /// node of the tree. Returns whether it did.
    pub fn tighten(&mut self) -> bool {
        let is_loose = self.tree.is_loose();
        if is_loose {
            self.tree.tighten();
        }
        is_loose
    }

    /// Places of nodes in the tree: what `tighten` looks at.
    pub fn nodes(&self) -> u64 {
        self.tree.slots().into()
    }

    /// Entries of all filters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the matches that are remembered.
    pub fn forget_matches(&mut self) {
        self.cache.clear();
    }

    /// Gives memory back after many filters have gone.
    pub fn trim(&mut self) {
        self.tree.trim();
        self.lists.trim();
    }

    /// Bytes of memory, all in.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.tree.memory() + self.lists.memory() + self.cache.memory()
    }

    /// Nodes, names and lists in use, for the tests that none is left behind.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> (usize, usize, usize) {
        (self.tree.len(), self.tree.names(), self.lists.len())
    }

    /// Adds an entry to a node; returns what it replaced and whether there was a local entry before.
    fn add(&mut self, node: u32, entry: Entry) -> (Option<Entry>, bool) {
        let holder = &mut self.tree.node_mut(node).value;
        match holder.get() {
            Held::Nothing => {
                *holder = Holder::one(entry);
                (None, false)
            }
            Held::One(old) if old.key() == entry.key() => {
                *holder = Holder::one(entry);
                (Some(old), old.is_local())
            }
            Held::One(old) => {
                *holder = Holder::list(self.lists.create(old, entry));
                (None, old.is_local())
            }
            Held::List(list) => {
                let locals_before = self.lists.locals(list) > 0;
                (self.lists.insert(list, entry), locals_before)
            }
        }
    }

    /// Takes away the last entry of a filter, and the nodes that only led to it.
    fn remove_filter(&mut self, filter: u32) {
        let mut name = Vec::new();
        self.tree.path(filter, &mut name);
        self.cache.forget(&name);
        self.tree.node_mut(filter).value = Holder::default();
        let (mut node, mut gone) = (filter, None);
        while node != ROOT
            && !self.tree.node(node).has_children()
            && self.tree.node(node).value.is_nothing()
        {
            gone = Some(self.tree.part(node));
            node = self.tree.remove_leaf(node);
        }
        if let Some((symbol, reach)) = gone {
            self.tree.note_removal(node, symbol, reach);
        }
    }

    /// Walks the tree level by level, along all nodes that the topic has matched so far. Returns how many those were.
    fn walk(&self, topic: &[u8], out: &mut SmallVec<[FilterId; 8]>) -> usize {
        let mut frontier: SmallVec<[u32; 32]> = SmallVec::new();
        let mut next: SmallVec<[u32; 32]> = SmallVec::new();
        frontier.push(ROOT);
        let mut visited = 1;
        let mut wildcards = topic.first() != Some(&b'$');
        for level in levels(topic) {
            let symbol = self
                .tree
                .symbol(level)
                .filter(|&symbol| symbol != HASH && symbol != PLUS);
            for &at in &frontier {
                let node = self.tree.node(at);
                if let Some(symbol) = symbol
                    && node.has_names()
                {
                    next.extend(self.tree.child(at, symbol));
                }
                if wildcards && node.has_plus() {
                    next.extend(self.tree.child(at, PLUS));
                }
                if wildcards {
                    self.take_hash(at, node, out);
                }
            }
            if next.is_empty() {
                return visited;
            }
            visited += next.len();
            std::mem::swap(&mut frontier, &mut next);
            next.clear();
            wildcards = true;
        }
        for &at in &frontier {
            let node = self.tree.node(at);
            if !node.value.is_nothing() {
                out.push(FilterId(at));
            }
            // "sport/#" also matches "sport" (MQTT 5, 4.7.1.2).
            self.take_hash(at, node, out);
        }
        visited
    }

    #[inline]
    fn take_hash(&self, at: u32, node: &Node<Holder>, out: &mut SmallVec<[FilterId; 8]>) {
        if node.has_hash()
            && let Some(hash) = self.tree.child(at, HASH)
            && !self.tree.node(hash).value.is_nothing()
        {
            out.push(FilterId(hash));
        }
    }
}
