//! Messages of shared subscriptions that have asked as many members as they may at once.

use std::collections::VecDeque;

use crate::broker::groups::message::SharedOffer;
use crate::limits;

/// Messages that have asked as many members as they may at once; they go on in the next turn.
#[derive(Default)]
pub(crate) struct Offers {
    queue: VecDeque<SharedOffer>,
    bytes: usize,
    /// All that ever waited here.
    pushed: u64,
    popped: u64,
}

impl Offers {
    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that they hold.
    pub(crate) fn bytes(&self) -> u64 {
        (self.bytes + self.queue.capacity() * size_of::<SharedOffer>()) as u64
    }

    /// Whether one more may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < limits::GROUP_OFFERS_MAX && self.bytes < limits::GROUP_OFFERS_BYTES_MAX
    }

    /// One more waits. Returns its place among all that ever did.
    pub(crate) fn push(&mut self, offer: SharedOffer) -> u64 {
        self.pushed += 1;
        self.bytes += offer.bytes();
        self.queue.push_back(offer);
        self.pushed
    }

    /// How many ever waited.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of all that ever waited have gone on.
    pub(crate) fn popped(&self) -> u64 {
        self.popped
    }

    /// The one that has waited longest; it may ask as many members again.
    pub(crate) fn pop(&mut self) -> Option<SharedOffer> {
        let mut offer = self.queue.pop_front()?;
        self.popped += 1;
        offer.progress.at_once = 0;
        self.bytes -= offer.bytes();
        if self.queue.is_empty() {
            self.queue.shrink_to_fit();
        }
        Some(offer)
    }
}
