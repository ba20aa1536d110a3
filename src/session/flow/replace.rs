//! A newer message takes the place of the one of its topic that waits (`slow_consumer_policy latest`).

use super::{Bounds, Delivery, Flow, Origin, Queued, bytes_max};

impl Flow {
    /// Whether a message of so many bytes may take the place of one that waits.
    pub(super) fn may_replace(&self, index: usize, bytes: u64, bounds: &Bounds) -> bool {
        let before = self.queue.get(index);
        let before = before.map_or(0, |known| known.message.payload.len() as u64);
        bytes <= before || self.queue_bytes - before + bytes <= bytes_max(bounds)
    }

    /// Whether a retained message of the same topic waits behind this place: it would come after a newer one.
    pub(super) fn is_behind(&self, index: usize, delivery: &Delivery) -> bool {
        let is_it = |other: &Delivery| {
            other.origin == Origin::RETAINED && other.message.topic == delivery.message.topic
        };
        self.replaying > 0 && self.queue.iter().skip(index).any(is_it)
    }

    /// Takes the older message out and puts the newer one at the end.
    pub(super) fn replace_at_end(&mut self, index: usize, delivery: Delivery) -> Queued {
        let Some(older) = self.queue.remove(index) else {
            return Queued::Full;
        };
        self.note_taken(&older);
        self.note_removed(index);
        self.queue_bytes += delivery.message.payload.len() as u64;
        self.held_bytes += delivery.message.cost() as u64;
        self.waiting_qos0 += u32::from(delivery.qos() == 0);
        self.queue.push_back(delivery);
        self.index_anew();
        Queued::Replaced(older.message)
    }

    pub(super) fn replace(&mut self, index: usize, delivery: Delivery) -> Queued {
        let bytes = delivery.message.payload.len() as u64;
        self.waiting_qos0 += u32::from(delivery.qos() == 0);
        self.held_bytes += delivery.message.cost() as u64;
        let older = std::mem::replace(&mut self.queue[index], delivery);
        self.held_bytes -= older.message.cost() as u64;
        self.waiting_qos0 -= u32::from(older.qos() == 0);
        self.queue_bytes = self.queue_bytes + bytes - older.message.payload.len() as u64;
        Queued::Replaced(older.message)
    }
}
