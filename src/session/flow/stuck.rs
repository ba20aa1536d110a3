//! Whether the oldest message in flight is one that is never acknowledged.

/// See the module.
#[derive(Default)]
pub(super) struct Stuck {
    /// What was the oldest message in flight at the last look, by its order, and since which second.
    oldest: (u64, u32),
    /// Whether it has been said that it is not acknowledged.
    said: bool,
}

impl Stuck {
    /// For how many seconds the oldest message in flight, by its order, is known to have been that: since it was first looked.
    pub(super) fn seconds(&mut self, order: Option<u64>, now_s: u32) -> u32 {
        let Some(order) = order else {
            (self.oldest, self.said) = ((0, now_s), false);
            return 0;
        };
        if self.oldest.0 != order {
            (self.oldest, self.said) = ((order, now_s), false);
        }
        now_s.saturating_sub(self.oldest.1)
    }

    /// The same as of the last look.
    pub(super) fn known_seconds(&self, order: Option<u64>, now_s: u32) -> u32 {
        let is_known = order.is_some_and(|order| order == self.oldest.0);
        match is_known {
            true => now_s.saturating_sub(self.oldest.1),
            false => 0,
        }
    }

    /// Whether it is to be said now that it is not acknowledged: once for each.
    pub(super) fn says(&mut self) -> bool {
        !std::mem::replace(&mut self.said, true)
    }

    /// The time begins anew: what is in flight is sent again.
    pub(super) fn forget(&mut self) {
        self.oldest = (0, 0);
    }
}
