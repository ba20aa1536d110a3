//! Messages of shared subscriptions that have asked as many members as they may at once.

use std::collections::VecDeque;

use crate::broker::groups::message::SharedOffer;
use crate::limits;

/// Messages that have asked as many members as they may at once; they go on in the next turn.
#[derive(Default)]
pub(crate) struct Offers {
    queue: VecDeque<SharedOffer>,
    bytes: usize,
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

    /// One more waits.
    pub(crate) fn push(&mut self, offer: SharedOffer) {
        self.bytes += offer.bytes();
        self.queue.push_back(offer);
    }

    /// The one that has waited longest; it may ask as many members again.
    pub(crate) fn pop(&mut self) -> Option<SharedOffer> {
        let mut offer = self.queue.pop_front()?;
        offer.progress.at_once = 0;
        self.bytes -= offer.bytes();
        if self.queue.is_empty() {
            self.queue.shrink_to_fit();
        }
        Some(offer)
    }
}
