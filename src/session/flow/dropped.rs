//! What was dropped for want of room stays dropped when its publisher, who has had no answer, sends it again: others that came
//! after it have been taken meanwhile, and it would come behind them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::Flow;
use crate::limits;
use crate::mqtt::message::Message;

/// The last messages that were dropped, by a hash of each.
pub(super) struct Dropped {
    last: [u64; limits::DROPPED_KNOWN],
    at: usize,
}

/// What tells a message from others: who sent it by which identifier, and some of what it says.
fn key(message: &Message) -> u64 {
    let payload = &message.payload[..];
    let beginning = &payload[..payload.len().min(limits::DROPPED_BYTES_SEEN)];
    let said = (message.topic.as_str(), payload.len(), beginning);
    FixedState::with_seed(1).hash_one((message.origin, message.sent.id, said))
}

impl Flow {
    /// A message has been dropped for want of room.
    #[cold]
    pub fn note_dropped(&mut self, message: &Message) {
        if message.sent.id == 0 {
            return;
        }
        let dropped = self.dropped.get_or_insert_with(|| {
            let last = [0; limits::DROPPED_KNOWN];
            Box::new(Dropped { last, at: 0 })
        });
        // Each stands there once, by when it was last dropped.
        let key = key(message);
        if let Some(known) = dropped.last.iter_mut().find(|known| **known == key) {
            *known = 0;
        }
        dropped.last[dropped.at] = key;
        dropped.at = (dropped.at + 1) % limits::DROPPED_KNOWN;
    }

    /// Whether this message, which is sent again, was dropped.
    pub fn has_dropped(&self, message: &Message) -> bool {
        let dropped = self.dropped.as_ref();
        dropped.is_some_and(|dropped| dropped.last.contains(&key(message)))
    }
}
