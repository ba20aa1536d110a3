//! The owner's side of a replay: questions are answered a page each, in turn, as fast as this shard's time for that allows.
//!
//! A question with wildcards may look far for little. It waits its turn behind those of others, `LOOKUP_NODES_PER_MS` together,
//! so that no turn is taken up by who asks for everything.
//!
//! Invariant: one is looked for at a time, however deep the calls are.

use std::collections::VecDeque;

use crate::broker::mesh_message::RetainQuery;
use crate::broker::retained::stores::Stores;
use crate::ids::ShardId;
use crate::limits;
use crate::routing::PageBounds;

/// See the module.
pub(crate) struct Lookups {
    /// How large a page is at this shard.
    page: PageBounds,
    /// Questions that wait for stores to arrive here.
    held: Vec<(ShardId, RetainQuery)>,
    /// Questions that wait their turn, at most `REPLAY_QUESTIONS_MAX` for a session, and who asks.
    queue: VecDeque<(ShardId, RetainQuery)>,
    /// Nodes visited above what the time until `spent_at_ms` allowed.
    spent: usize,
    spent_at_ms: u64,
    /// Whether look-ups are being made.
    is_looking: bool,
}

impl Lookups {
    pub(crate) fn new(shards: u8) -> Self {
        Lookups {
            page: PageBounds {
                messages: (limits::REPLAY_PAGE_MESSAGES / usize::from(shards.max(1))).max(1),
                nodes: limits::REPLAY_PAGE_NODES,
                slots: limits::REPLAY_PAGE_SLOTS,
            },
            held: Vec::new(),
            queue: VecDeque::new(),
            spent: 0,
            spent_at_ms: 0,
            is_looking: false,
        }
    }

    /// How large a page is at this shard.
    pub(crate) fn page(&self) -> &PageBounds {
        &self.page
    }

    /// Other bounds for a page, all over.
    #[cfg(test)]
    pub(crate) fn set_page(&mut self, page: PageBounds) {
        self.page = page;
    }

    /// A question waits for stores to arrive here.
    pub(crate) fn hold(&mut self, asker: ShardId, query: RetainQuery) {
        self.held.push((asker, query));
    }

    /// Takes out the questions that have waited for stores, and need not any more.
    pub(crate) fn take_held(
        &mut self,
        stores: &Stores,
        own: ShardId,
    ) -> Vec<(ShardId, RetainQuery)> {
        let is_due = |held: &mut (ShardId, RetainQuery)| stores.has_applied(&held.1, own);
        self.held.extract_if(.., is_due).collect()
    }

    /// A question waits its turn.
    pub(crate) fn put(&mut self, asker: ShardId, query: RetainQuery) {
        self.queue.push_back((asker, query));
    }

    /// When the next one may be looked for, if one waits.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let too_much = (self.spent + 1).saturating_sub(limits::LOOKUP_NODES_BURST);
        let wait_ms = too_much.div_ceil(limits::LOOKUP_NODES_PER_MS) as u64;
        (!self.queue.is_empty()).then_some(self.spent_at_ms + wait_ms)
    }

    /// Look-ups are made from here on, until `next` gives none; false if they are already.
    pub(crate) fn begin(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.spent_at_ms) as usize;
        let earned = passed_ms.saturating_mul(limits::LOOKUP_NODES_PER_MS);
        self.spent = self.spent.saturating_sub(earned);
        self.spent_at_ms = now_ms;
        !std::mem::replace(&mut self.is_looking, true)
    }

    /// The next question that is looked for now.
    pub(crate) fn next(&mut self) -> Option<(ShardId, RetainQuery)> {
        let next = match self.spent < limits::LOOKUP_NODES_BURST {
            true => self.queue.pop_front(),
            false => None,
        };
        self.is_looking = next.is_some();
        next
    }

    /// A page has visited so many nodes; one that finds nothing is something to do as well.
    pub(crate) fn spend(&mut self, visited: usize) {
        self.spent += visited.max(1);
    }
}
