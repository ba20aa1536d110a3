//! Which filters this shard wants from the others, and the barrier behind SUBACK (docs/decisions/0401, docs/decisions/0402).
//!
//! The first local subscriber of a filter makes the shard announce it to all others; SUBACK waits until each has
//! answered, so that after it no publish on any shard is missed. The last one to go takes the announcement back.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::broker::continuation::Continuation;
use crate::ids::ShardId;
use crate::routing::FilterId;

/// The ticket of a subscription for which nobody waits but the start (`Broker::is_restoring`): it is taken up again, not asked for.
pub(crate) const RESTORES: u32 = 0;

/// Who waits for a filter to be known everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiter {
    /// A SUBSCRIBE of this shard, by ticket.
    Subscribe(u32),
    /// A member of a shared subscription, on its shard, by the ticket it gave.
    Member { shard: ShardId, ticket: u32 },
}

/// A filter that other shards have been told of.
pub(crate) struct Announcement {
    pub filter: FilterId,
    pub waiters: SmallVec<[Waiter; 1]>,
}

impl Continuation for Announcement {
    fn memory(&self) -> usize {
        match self.waiters.spilled() {
            true => self.waiters.capacity() * size_of::<Waiter>(),
            false => 0,
        }
    }
}

/// The filters that not all shards know yet, by ticket of their announcement.
#[derive(Default)]
pub(crate) struct Interests {
    under_way: HashMap<FilterId, u32, FixedState>,
    /// Filters of which they have been told that something is to outlive the process.
    durable: HashSet<FilterId, FixedState>,
}

impl Interests {
    /// A filter is announced.
    pub(crate) fn note(&mut self, filter: FilterId, ticket: u32, durable: bool) {
        self.under_way.insert(filter, ticket);
        if durable {
            self.durable.insert(filter);
        }
    }

    /// Whether other shards have been told that something of a filter is to outlive the process.
    pub(crate) fn are_durable(&self, filter: FilterId) -> bool {
        self.durable.contains(&filter)
    }

    /// The announcement of a filter that is under way.
    pub(crate) fn ticket(&self, filter: FilterId) -> Option<u32> {
        self.under_way.get(&filter).copied()
    }

    /// All shards know a filter by this announcement.
    pub(crate) fn note_known(&mut self, filter: FilterId, ticket: u32) {
        if self.ticket(filter) == Some(ticket) {
            self.under_way.remove(&filter);
        }
    }

    /// A filter is not wanted any more.
    pub(crate) fn forget(&mut self, filter: FilterId) {
        self.under_way.remove(&filter);
        self.durable.remove(&filter);
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.under_way.allocation_size() + self.durable.allocation_size()
    }

    /// Gives memory back after many announcements at once.
    pub(crate) fn trim(&mut self) {
        self.under_way.shrink_to_fit();
        self.durable.shrink_to_fit();
    }
}
