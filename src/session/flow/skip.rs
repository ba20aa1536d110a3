//! A message that is never acknowledged keeps its identifier, and nobody else from having one.

use super::{Flow, SHARED_ID_BIT, next_private};
use crate::limits;

impl Flow {
    /// Goes on behind identifiers in use, and puts the oldest messages aside that all others would wait for. Whether one is
    /// free then, which is the next.
    #[cold]
    pub(super) fn skips_ids(&mut self) -> bool {
        for _ in 0..=2 * limits::WINDOW_ASIDE_MAX {
            let next = next_private(self.last_private);
            if self.own.admits(next, 0) {
                return true;
            }
            if self.own.is_aside(next) {
                self.last_private = next;
            } else if !self.own.put_aside() {
                return false;
            }
        }
        false
    }

    /// The same for the identifier of a frame that many share: those are given, and either free or not.
    #[cold]
    pub(super) fn admits_beyond(&mut self, id: u16, order: u64) -> bool {
        debug_assert!(id & SHARED_ID_BIT != 0);
        while self.shared.is_out_of_reach(order) && self.shared.put_aside() {}
        self.shared.admits(id, order)
    }

    /// For how many seconds the oldest message in flight is known to have been the oldest: since it was first looked.
    pub fn stuck_for(&mut self, now_s: u32) -> u32 {
        let in_flight = self.own.first().into_iter().chain(self.shared.first());
        let Some(order) = in_flight.map(|entry| entry.order).min() else {
            (self.oldest, self.said) = ((0, now_s), false);
            return 0;
        };
        if self.oldest.0 != order {
            (self.oldest, self.said) = ((order, now_s), false);
        }
        now_s.saturating_sub(self.oldest.1)
    }

    /// Whether it is to be said now that it is not acknowledged: once for each.
    pub fn says_stuck(&mut self) -> bool {
        !std::mem::replace(&mut self.said, true)
    }
}
