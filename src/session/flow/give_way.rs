//! A session that holds more than its share gives its oldest messages: those that wait, then copies of those in flight, here.

use std::sync::Arc;

use super::Flow;
use super::InFlight;
use crate::mqtt::message::Message;

impl Flow {
    /// Gives up the copies of messages in flight, the oldest first, until no more is held here than `most` bytes: their identifiers
    /// stay in use, and what is not acknowledged is not sent again.
    pub(crate) fn give_up_copies(&mut self, most: u64) -> Vec<(InFlight, Arc<Message>)> {
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
            let Some(entry) = self.windows.of(id).get_mut(id) else {
                continue;
            };
            if let Some(message) = entry.message.take() {
                let entry = entry.clone();
                self.note_copy_gone(&message);
                taken.push((entry, message));
            }
        }
        taken
    }
}
