//! What was dropped for want of room stays dropped when its publisher, who has had no answer, sends it again: others that came
//! after it have been taken meanwhile, and it would come behind them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

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

impl Default for Dropped {
    fn default() -> Self {
        let last = [0; limits::DROPPED_KNOWN];
        Dropped { last, at: 0 }
    }
}

impl Dropped {
    /// This one has been dropped for want of room.
    pub(super) fn note(&mut self, message: &Message) {
        // Each stands there once, by when it was last dropped.
        let key = key(message);
        if let Some(known) = self.last.iter_mut().find(|known| **known == key) {
            *known = 0;
        }
        self.last[self.at] = key;
        self.at = (self.at + 1) % limits::DROPPED_KNOWN;
    }

    /// Whether this message, which is sent again, was.
    pub(super) fn has(&self, message: &Message) -> bool {
        self.last.contains(&key(message))
    }
}
