//! Retained messages that have passed this shard while questions of its sessions are open. A message may overtake the answer: the
//! older copy in the answer is left out.
//!
//! Invariant: nothing is noted while no question is open.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::placement::topic_number;
use crate::limits;
use crate::mqtt::message::Message;

/// See the module.
pub(crate) struct Live {
    /// Questions of this shard's sessions that have not been answered by all owners (`waits`).
    open: u32,
    /// Retained messages that have passed this shard, and by topic the count at the last one, while questions are open.
    count: u64,
    topics: HashMap<u64, u64, FixedState>,
    /// How many of these topics there are when those that matter to no question any more are looked for.
    prune_at: usize,
}

impl Default for Live {
    fn default() -> Self {
        Live {
            open: 0,
            count: 0,
            topics: HashMap::with_hasher(FixedState::with_seed(0)),
            prune_at: 2 * limits::LIVE_TOPICS_KEPT,
        }
    }
}

impl Live {
    /// A question is asked. Returns how many messages have passed before it.
    pub(crate) fn open(&mut self) -> u64 {
        self.open += 1;
        self.count
    }

    /// A question is answered by all. Without one the topics are forgotten.
    pub(crate) fn close(&mut self) {
        self.open -= 1;
        if self.open == 0 {
            self.topics.clear();
        }
    }

    /// A retained message has passed this shard. `oldest` is asked for the least count of the questions that are open.
    pub(crate) fn note(&mut self, topic: &str, oldest: impl FnOnce() -> Option<u64>) {
        if self.open == 0 {
            return;
        }
        self.count += 1;
        self.topics.insert(topic_number(topic), self.count);
        if self.topics.len() >= self.prune_at {
            self.prune(oldest());
        }
    }

    /// Forgets the topics that no open question is about: these were asked when so many had passed. There may always be one
    /// that is open.
    fn prune(&mut self, asked_at: Option<u64>) {
        let asked_at = asked_at.unwrap_or(self.count);
        self.topics.retain(|_, &mut count| count > asked_at);
        self.prune_at = 2 * self.topics.len().max(limits::LIVE_TOPICS_KEPT);
    }

    /// Leaves out of an answer what is older than a live message with the same topic that came after the question.
    pub(crate) fn leave_out_older(&self, messages: &mut Vec<Arc<Message>>, asked_at: u64) {
        if self.topics.is_empty() {
            return;
        }
        messages.retain(|message| {
            let last = self.topics.get(&topic_number(&message.topic));
            last.is_none_or(|&count| count <= asked_at)
        });
    }

    /// Topics that are noted.
    #[cfg(test)]
    pub(crate) fn topics(&self) -> usize {
        self.topics.len()
    }
}
