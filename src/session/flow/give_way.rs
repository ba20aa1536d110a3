//! A session that holds more than its share gives its oldest messages: those that wait, then copies of those in flight.

use std::sync::Arc;

use super::Flow;
use crate::mqtt::message::Message;
use crate::session::delivery::Delivery;

impl Flow {
    /// Takes the oldest message that waits, but for those of a replay, which are retained whoever waits for them.
    pub fn pop_oldest(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_kept()?;
        self.note_taken(&delivery);
        Some(delivery)
    }

    /// Gives up the copies of messages in flight, the oldest first, until no more is held than `most` bytes: their identifiers
    /// stay in use, and what is not acknowledged is not sent again.
    pub fn give_up_copies(&mut self, most: u64) -> Vec<(u16, Arc<Message>)> {
        let mut orders: Vec<(u64, u16)> = self
            .windows
            .iter()
            .filter(|entry| entry.message.is_some())
            .map(|entry| (entry.order, entry.id))
            .collect();
        orders.sort_unstable();
        let mut taken = Vec::new();
        for (_, id) in orders {
            if self.weight() <= most {
                break;
            }
            let entry = self.windows.of(id).get_mut(id);
            if let Some(message) = entry.and_then(|entry| entry.message.take()) {
                self.note_copy_gone(&message);
                taken.push((id, message));
            }
        }
        taken
    }
}
