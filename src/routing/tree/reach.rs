//! How many nodes a topic can lead to: what one walk visits at most, whatever the topic.
//!
//! Filters in which `+` and a name stand beside each other, level after level, double that with each level: some thousand of
//! them can make a publish take a tenth of a second. The bound is kept at every node for what is below it, so that a
//! filter that would raise it too far is known before it is there.
//!
//! Invariant: a node's reach is at least 1, for itself, and that of `#` and of `+` below it, and the greatest of those of the
//! names below it: a topic has one name for each level. It is never less. It is more while a name has gone that may have
//! been the greatest (the tree knows no list of siblings); `tighten` finds out.

use smallvec::SmallVec;

use super::{FREE, HASH, NONE, PLUS, ROOT, Symbol, Tree, levels};

impl<V: Default> Tree<V> {
    /// Nodes that a walk along one topic visits at most.
    #[inline]
    pub(in crate::routing) fn reach(&self) -> u32 {
        self.node(ROOT).reach
    }

    /// What that would be with one more path.
    pub(in crate::routing) fn reach_with(&self, path: &[u8]) -> u32 {
        let mut known: SmallVec<[u32; 16]> = SmallVec::new();
        let mut levels = levels(path).peekable();
        let mut at = ROOT;
        while let Some(child) = levels
            .peek()
            .and_then(|level| self.child(at, self.symbol(level)?))
        {
            known.push(at);
            at = child;
            levels.next();
        }
        let Some(first) = levels.next() else {
            return self.reach(); // it is there
        };
        // A path of its own has one node for each level.
        let mut new = 1 + levels.count() as u32;
        let (mut old, mut symbol) = (0, self.symbol(first));
        loop {
            let before = self.node(at).reach;
            let after = self.raised(at, symbol, old, new);
            let Some(above) = known.pop().filter(|_| after > before) else {
                return self.reach().max(if at == ROOT { after } else { 0 });
            };
            (old, new, symbol) = (before, after, Some(self.node(at).symbol));
            at = above;
        }
    }

    /// A path has come that ends at `leaf`; the last `made` of its nodes are new.
    pub(in crate::routing) fn note_path(&mut self, leaf: u32, made: usize) {
        let (mut at, mut old) = (leaf, 0);
        for level in 0.. {
            let parent = self.parent(at);
            if parent == NONE {
                return;
            }
            let (symbol, new) = (self.node(at).symbol, self.node(at).reach);
            let old_part = if level < made { 0 } else { old };
            old = self.node(parent).reach;
            let after = self.raised(parent, Some(symbol), old_part, new);
            if after == old {
                return;
            }
            self.node_mut(parent).reach = after;
            at = parent;
        }
    }

    /// Nodes below `parent` have gone, of which the uppermost had this name and this reach.
    pub(in crate::routing) fn note_removal(&mut self, parent: u32, symbol: Symbol, reach: u32) {
        let mut at = parent;
        let mut excess = match symbol {
            HASH | PLUS => reach,
            _ => self.names_excess(parent, reach, 0),
        };
        while excess > 0 {
            let node = self.node_mut(at);
            let before = node.reach;
            node.reach = before.saturating_sub(excess).max(1);
            let (symbol, now, above) = (node.symbol, node.reach, node.parent);
            if above == NONE {
                return;
            }
            excess = match symbol {
                PLUS => before - now,
                _ => self.names_excess(above, before, now),
            };
            at = above;
        }
    }

    /// Whether the reach of a node may be more than it has to be.
    pub(in crate::routing) fn is_loose(&self) -> bool {
        self.is_loose
    }

    /// Computes the reach of all nodes anew. Takes some 50 ns for each.
    pub(in crate::routing) fn tighten(&mut self) {
        // Of each node: children that are not done, and the greatest reach of the names among those that are.
        let mut open: Vec<(u32, u32)> = (0..self.slots())
            .map(|index| {
                self.living(index)
                    .map_or((NONE, 0), |node| (node.count(), 0))
            })
            .collect();
        for index in 0..self.slots() {
            if let Some(node) = self.nodes.get_mut(index as usize) {
                node.reach = 1 + u32::from(node.children != FREE && node.has_hash());
            }
        }
        // Upwards from each leaf, as far as all children of a node are done.
        for leaf in 0..self.slots() {
            let mut at = leaf;
            while open[at as usize].0 == 0 {
                let names = std::mem::replace(&mut open[at as usize], (NONE, 0)).1;
                let node = self.node_mut(at);
                node.reach += names;
                let (symbol, reach, parent) = (node.symbol, node.reach, node.parent);
                if parent == NONE {
                    break;
                }
                let above = &mut open[parent as usize];
                above.0 -= 1;
                match symbol {
                    HASH => {}
                    PLUS => self.node_mut(parent).reach += reach,
                    _ => above.1 = above.1.max(reach),
                }
                at = parent;
            }
        }
        self.is_loose = false;
    }

    /// The reach of a node when that of its child with this name goes from `old` (0: it is new) to `new`.
    fn raised(&self, at: u32, symbol: Option<Symbol>, old: u32, new: u32) -> u32 {
        let reach = self.node(at).reach;
        let by = match symbol {
            Some(HASH | PLUS) => new - old,
            _ => new.saturating_sub(self.names_reach(at)),
        };
        reach.saturating_add(by)
    }

    /// The part of a node's reach that names below it have.
    fn names_reach(&self, at: u32) -> u32 {
        let node = self.node(at);
        let others = 1 + self.plus_reach(at) + u32::from(node.has_hash());
        node.reach.saturating_sub(others)
    }

    /// By how much that part is too much when the reach of one of the names goes down, to 0 when it has gone. With others
    /// beside it that is not known.
    fn names_excess(&mut self, at: u32, before: u32, now: u32) -> u32 {
        let names = self.names_reach(at);
        if self.node(at).names() == u32::from(now > 0) {
            return names.saturating_sub(now);
        }
        self.is_loose |= before >= names;
        0
    }

    fn plus_reach(&self, at: u32) -> u32 {
        let plus = self.node(at).has_plus().then(|| self.child(at, PLUS));
        plus.flatten().map_or(0, |child| self.node(child).reach)
    }
}
