//! Paths of topic levels as a tree: nodes in a slab, the names of levels interned, all edges in one hash table.
//!
//! A node has no table of children of its own, so a path that nobody shares costs one small node, one slot of the
//! edge table and the name of its level, whatever the number of siblings.
//!
//! Invariants: node 0 is the root and is never freed; every other living node is in `edges` under the hash of its
//! parent and symbol, and holds one reference to its symbol; the low bits of `children` count exactly the living
//! nodes whose parent it is. Who removes the last value of a node removes the node, and then its ancestors as far
//! as they have neither value nor child.

mod reach;

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::symbols::{HASH, PLUS, Symbol, Symbols};
use crate::index::Index;
use crate::table::Table;

/// The node above all first levels.
pub(super) const ROOT: u32 = 0;
/// No node.
pub(super) const NONE: u32 = u32::MAX;

const HAS_HASH: u32 = 1 << 31;
const HAS_PLUS: u32 = 1 << 30;
const COUNT_MASK: u32 = HAS_PLUS - 1;
/// `children` of a free node; the next free one is in `parent`.
const FREE: u32 = u32::MAX;

/// One level of one or more paths.
pub(super) struct Node<V> {
    parent: u32,
    symbol: Symbol,
    children: u32,
    /// See `reach`.
    reach: u32,
    pub(super) value: V,
}

impl<V: Default> Node<V> {
    /// A free place, the last one of its list.
    fn vacant() -> Node<V> {
        Node {
            parent: NONE,
            symbol: HASH,
            children: FREE,
            reach: 1,
            value: V::default(),
        }
    }
}

impl<V> Node<V> {
    /// Whether a level `#` follows.
    #[inline]
    pub(super) fn has_hash(&self) -> bool {
        self.children & HAS_HASH != 0
    }

    /// Whether a level `+` follows.
    #[inline]
    pub(super) fn has_plus(&self) -> bool {
        self.children & HAS_PLUS != 0
    }

    /// Whether a level other than `#` and `+` follows.
    #[inline]
    pub(super) fn has_names(&self) -> bool {
        self.names() > 0
    }

    /// How many do.
    #[inline]
    fn names(&self) -> u32 {
        self.count() - u32::from(self.has_hash()) - u32::from(self.has_plus())
    }

    /// How many levels follow, wildcards too.
    #[inline]
    fn count(&self) -> u32 {
        self.children & COUNT_MASK
    }

    /// Whether any level follows.
    #[inline]
    pub(super) fn has_children(&self) -> bool {
        self.children != 0
    }
}

/// A tree of topic levels with a value at every node.
pub(super) struct Tree<V> {
    nodes: Table<Node<V>>,
    symbols: Symbols,
    edges: Index,
    free: u32,
    /// Whether some node's reach may be too much.
    is_loose: bool,
    hasher: FixedState,
}

impl<V: Default> Tree<V> {
    pub(super) fn new(seed: u64) -> Tree<V> {
        let root = Node {
            parent: NONE,
            symbol: HASH,
            children: 0,
            reach: 1,
            value: V::default(),
        };
        let mut nodes = Table::new();
        nodes.push(root);
        Tree {
            nodes,
            symbols: Symbols::new(seed),
            edges: Index::new(),
            free: NONE,
            is_loose: false,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// The symbol of a level's name, if any path has it.
    #[inline]
    pub(super) fn symbol(&self, level: &[u8]) -> Option<Symbol> {
        self.symbols.find(level)
    }

    /// A node that is known to be living.
    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node<V> {
        &self.nodes[node as usize]
    }

    /// A node that is known to be living, to be changed.
    #[inline]
    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node<V> {
        &mut self.nodes[node as usize]
    }

    /// The node with this number, unless it is free or was never used.
    #[inline]
    pub(super) fn living(&self, node: u32) -> Option<&Node<V>> {
        self.nodes
            .get(node as usize)
            .filter(|node| node.children != FREE)
    }

    /// Numbers that nodes have had so far: the bound of a walk over all of them by `living`.
    pub(super) fn slots(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The child of `parent` by this name.
    #[inline]
    pub(super) fn child(&self, parent: u32, symbol: Symbol) -> Option<u32> {
        let hash = edge_hash(&self.hasher, parent, symbol);
        self.edges.find(hash, |node| {
            let node = &self.nodes[node as usize];
            node.parent == parent && node.symbol == symbol
        })
    }

    /// The node at the end of a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        levels(path).try_fold(ROOT, |node, level| self.child(node, self.symbol(level)?))
    }

    /// The child of `parent` by this name, and whether it had to be made.
    pub(super) fn child_or_insert(&mut self, parent: u32, level: &[u8]) -> (u32, bool) {
        if let Some(symbol) = self.symbols.find(level)
            && let Some(child) = self.child(parent, symbol)
        {
            return (child, false);
        }
        let symbol = self.symbols.acquire(level);
        let child = self.place(Node {
            parent,
            symbol,
            children: 0,
            reach: 1,
            value: V::default(),
        });
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.edges
            .insert(edge_hash(hasher, parent, symbol), child, |node| {
                let node = &nodes[node as usize];
                edge_hash(hasher, node.parent, node.symbol)
            });
        let above = self.node_mut(parent);
        above.children = (above.children + 1) | wildcard_flag(symbol);
        (child, true)
    }

    /// The name of a node's own level, and its reach.
    pub(super) fn part(&self, node: u32) -> (Symbol, u32) {
        let node = self.node(node);
        (node.symbol, node.reach)
    }

    /// Frees a node that has no child (and is not the root); returns its parent.
    pub(super) fn remove_leaf(&mut self, node: u32) -> u32 {
        debug_assert!(node != ROOT && !self.node(node).has_children());
        let Node { parent, symbol, .. } = self.nodes[node as usize];
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.edges
            .remove(edge_hash(hasher, parent, symbol), node, |node| {
                let node = &nodes[node as usize];
                edge_hash(hasher, node.parent, node.symbol)
            });
        let above = self.node_mut(parent);
        above.children = (above.children - 1) & !wildcard_flag(symbol);
        self.symbols.release(symbol);
        self.nodes[node as usize] = Node {
            parent: self.free,
            ..Node::vacant()
        };
        self.free = node;
        parent
    }

    /// The node above a living node; `NONE` for the root.
    pub(super) fn parent(&self, node: u32) -> u32 {
        self.node(node).parent
    }

    /// The name of a node's own level.
    pub(super) fn level(&self, node: u32) -> &[u8] {
        self.symbols.name(self.node(node).symbol)
    }

    /// Appends the path of a node.
    pub(super) fn path(&self, node: u32, out: &mut Vec<u8>) {
        let mut upwards: SmallVec<[u32; 16]> = SmallVec::new();
        let mut at = node;
        while at != ROOT {
            upwards.push(at);
            at = self.node(at).parent;
        }
        for (position, &at) in upwards.iter().rev().enumerate() {
            if position > 0 {
                out.push(b'/');
            }
            out.extend_from_slice(self.level(at));
        }
    }

    /// Nodes without the root.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }

    /// Distinct names without the wildcards.
    #[cfg(test)]
    pub(super) fn names(&self) -> usize {
        self.symbols.len()
    }

    /// Bytes of heap, without what the values own.
    pub(super) fn memory(&self) -> usize {
        self.nodes.memory() + self.edges.memory() + self.symbols.memory()
    }

    /// Gives memory back after much has gone: places that are free, where many are beside each other, and what tables
    /// keep for growth.
    pub(super) fn trim(&mut self) {
        self.nodes.trim(|_, node| node.children == FREE);
        self.free = NONE;
        self.thread(0..self.slots());
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.edges.shrink(|node| {
            let node = &nodes[node as usize];
            edge_hash(hasher, node.parent, node.symbol)
        });
        self.symbols.trim();
    }

    /// Puts the free ones of these places in front of the list of free places, the lowest first.
    fn thread(&mut self, places: Range<u32>) {
        for index in places.rev() {
            let free = self.free;
            if let Some(node) = self.nodes.get_mut(index as usize)
                && node.children == FREE
            {
                node.parent = free;
                self.free = index;
            }
        }
    }

    fn place(&mut self, node: Node<V>) -> u32 {
        if self.free == NONE
            && let Some(places) = self.nodes.refill(Node::vacant)
        {
            self.thread(places);
        }
        if self.free == NONE {
            self.nodes.push(node);
            return self.nodes.len() as u32 - 1;
        }
        let index = self.free;
        let vacant = &mut self.nodes[index as usize];
        self.free = vacant.parent;
        *vacant = node;
        index
    }
}

/// The levels of a topic name or filter.
#[inline]
pub(super) fn levels(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
}

#[inline]
fn wildcard_flag(symbol: Symbol) -> u32 {
    match symbol {
        HASH => HAS_HASH,
        PLUS => HAS_PLUS,
        _ => 0,
    }
}

#[inline]
fn edge_hash(hasher: &FixedState, parent: u32, symbol: Symbol) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u64(u64::from(parent) << 32 | u64::from(symbol.0));
    hasher.finish()
}
