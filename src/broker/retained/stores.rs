//! Numbers of stores. A store may still be on its way to the owner of its topic when a question about it arrives by another way:
//! stores are numbered per sender and owner, the asker says which numbers it knows of, and the owner answers when it has them.

use crate::broker::mesh_message::RetainQuery;
use crate::ids::ShardId;

/// See the module.
pub(crate) struct Stores {
    /// By owner: the number of this shard's last store there.
    made: Vec<u64>,
    /// By shard and owner: the greatest number of a store that this shard knows of.
    seen: Vec<Vec<u64>>,
    /// By shard: the number of its last store that has arrived here.
    applied: Vec<u64>,
}

impl Stores {
    pub(crate) fn new(shards: u8) -> Self {
        let count = usize::from(shards);
        Stores {
            made: vec![0; count],
            seen: vec![vec![0; count]; count],
            applied: vec![0; count],
        }
    }

    /// The number of the next store of this shard at an owner.
    pub(crate) fn next(&mut self, owner: ShardId) -> u64 {
        self.made[owner.index()] += 1;
        self.made[owner.index()]
    }

    /// This shard's last stores, by owner.
    pub(crate) fn made(&self) -> Box<[u64]> {
        self.made.as_slice().into()
    }

    /// Another shard's last stores, by owner.
    pub(crate) fn note_made(&mut self, from: ShardId, made: &[u64]) {
        for (seen, &made) in self.seen[from.index()].iter_mut().zip(made) {
            *seen = (*seen).max(made);
        }
    }

    /// Another shard has made this store at an owner.
    pub(crate) fn note_seen(&mut self, from: ShardId, owner: ShardId, number: u64) {
        let seen = &mut self.seen[from.index()][owner.index()];
        *seen = (*seen).max(number);
    }

    /// A store of another shard has been made here.
    pub(crate) fn note_applied(&mut self, from: ShardId, number: u64) {
        self.applied[from.index()] = number;
    }

    /// By shard: its last store at an owner that `own` knows of.
    pub(crate) fn known_at(&self, owner: ShardId, own: ShardId) -> Box<[u64]> {
        let by_shard = self.seen.iter().map(|by_owner| by_owner[owner.index()]);
        let mut known: Box<[u64]> = by_shard.collect();
        known[own.index()] = self.made[owner.index()];
        known
    }

    /// Whether all stores that the asker knows of have been made here.
    pub(crate) fn has_applied(&self, query: &RetainQuery, own: ShardId) -> bool {
        let pairs = self.applied.iter().zip(query.seen.iter()).enumerate();
        pairs
            .filter(|(shard, _)| *shard != own.index())
            .all(|(_, (applied, seen))| applied >= seen)
    }
}
