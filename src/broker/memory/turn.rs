//! What one turn may deliver, and how many levels of filters it may take (docs/decisions/0205).

use crate::limits;

/// See the module.
pub(crate) struct Turn {
    /// Deliveries that a turn may make.
    most: u64,
    /// The count of deliveries at which the turn at hand is full; far away until the first turn has ended.
    full_at: u64,
    /// Levels of filters that a turn may take in or out of the tree.
    most_levels: u64,
    /// Those that are left of them; the last packet may go beyond.
    levels: u64,
}

/// The bounds of a turn that were lifted for a while.
#[must_use = "the turn is without bounds until they are put back"]
pub(crate) struct Lifted {
    full_at: u64,
    levels: u64,
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            most: limits::TURN_DELIVERIES_MAX,
            full_at: u64::MAX,
            most_levels: limits::TURN_FILTER_LEVELS,
            levels: u64::MAX,
        }
    }
}

impl Turn {
    /// One that may deliver so much, and take filters with so many levels.
    #[cfg(test)]
    pub(crate) fn of(most: u64) -> Turn {
        Turn {
            most,
            most_levels: most,
            ..Turn::default()
        }
    }

    /// A turn begins, before which so much had been delivered.
    #[inline]
    pub(crate) fn begin(&mut self, delivered: u64) {
        self.full_at = delivered + self.most;
        self.levels = self.most_levels;
    }

    /// Whether the turn has delivered what it may, now that so much has been delivered.
    #[inline]
    pub(crate) fn is_full(&self, delivered: u64) -> bool {
        delivered >= self.full_at
    }

    /// Whether it has taken as many filters as it may.
    #[inline]
    pub(crate) fn is_out_of_levels(&self) -> bool {
        self.levels == 0
    }

    /// What must be done in any case is done without bounds, until they are put back (`restore`).
    pub(crate) fn lift(&mut self) -> Lifted {
        let Turn {
            full_at, levels, ..
        } = *self;
        (self.full_at, self.levels) = (u64::MAX, u64::MAX);
        Lifted { full_at, levels }
    }

    /// The bounds hold again as they were: what was done meanwhile does not count.
    pub(crate) fn restore(&mut self, Lifted { full_at, levels }: Lifted) {
        (self.full_at, self.levels) = (full_at, levels);
    }

    /// A message is put into a queue, which takes as long as some deliveries: the turn is full so much earlier.
    #[inline]
    pub(crate) fn count_queued(&mut self) {
        self.full_at = self.full_at.saturating_sub(limits::TURN_QUEUED_DELIVERIES);
    }

    /// So many nodes of the tree were visited for a message. Beyond what is usual they count, whether somebody gets it or not.
    #[inline]
    pub(crate) fn count_match(&mut self, visited: usize) {
        let beyond = visited.saturating_sub(limits::TURN_MATCH_FREE) as u64;
        self.full_at = (self.full_at).saturating_sub(beyond * limits::TURN_NODE_DELIVERIES);
    }

    /// So many entries of several filters matched a message. A session that has many of them gets it once.
    #[inline]
    pub(crate) fn count_overlap(&mut self, entries: usize) {
        let beyond = entries.saturating_sub(limits::TURN_MATCH_FREE) as u64;
        self.full_at = self.full_at.saturating_sub(beyond / 2);
    }

    /// So many members of a shared subscription were asked whether they take a message, each as long as a delivery takes.
    pub(crate) fn count_asked(&mut self, members: usize) {
        self.full_at = self.full_at.saturating_sub(members as u64);
    }

    /// However much was delivered in the turn, a part of what it may deliver is left.
    #[inline]
    pub(crate) fn leave_some(&mut self, delivered: u64) {
        self.full_at = self.full_at.max(delivered + self.most.div_ceil(4));
    }

    /// However many filters were taken in the turn, a part of what it may take is left.
    pub(crate) fn leave_some_levels(&mut self) {
        self.levels = self.levels.max(self.most_levels.div_ceil(4));
    }

    /// So many sessions or connections were looked at for what they hold.
    pub(crate) fn count_holders(&mut self, holders: usize) {
        let deliveries = holders as u64 / limits::SHARES_HOLDERS_PER_DELIVERY;
        self.full_at = self.full_at.saturating_sub(deliveries);
    }

    /// A filter with so many levels is taken into the tree, or out of it.
    pub(crate) fn count_levels(&mut self, levels: usize) {
        self.levels = self.levels.saturating_sub(levels as u64);
    }
}
