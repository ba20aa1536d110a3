//! A newer message takes the place of the one of its topic that waits (`slow_consumer_policy latest`).

use super::{Bounds, Flow, Queued, bytes_max};
use crate::session::delivery::Delivery;

impl Flow {
    /// Whether a message of so many bytes may take the place of one that waits.
    pub(super) fn may_replace(&self, place: u64, bytes: u64, bounds: &Bounds) -> bool {
        let before = self.waiting.get(place);
        let before = before.map_or(0, |known| known.message.payload.len() as u64);
        bytes <= before || self.queue_bytes - before + bytes <= bytes_max(bounds)
    }

    /// Puts the newer message where the older one is: at the end where a retained one of the topic waits in between, which would
    /// come after a newer one.
    pub(super) fn replace(&mut self, place: u64, delivery: Delivery) -> Queued {
        let is_behind = self.waiting.is_retained_behind(place, &delivery.message);
        self.note_put(&delivery);
        let older = match is_behind {
            true => {
                let older = self.waiting.take(place);
                self.waiting.push(delivery);
                older
            }
            false => self.waiting.replace(place, delivery),
        };
        match older {
            Some(older) => {
                self.note_taken(&older);
                Queued::Replaced(older.message)
            }
            None => Queued::Yes,
        }
    }
}
